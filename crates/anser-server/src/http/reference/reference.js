// Draws the OpenAPI document of this server. Text stays text: nothing of the document is read as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
// Schemas that refer to themselves are drawn no deeper.
const DEPTH = 5;

function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function resolve(root, thing) {
  let found = thing;
  while (found && found.$ref) {
    found = found.$ref.slice(2).split("/").reduce((at, key) => at?.[key.replaceAll("~1", "/").replaceAll("~0", "~")], root);
  }
  return found ?? {};
}

function nameOf(schema) {
  return schema.$ref ? schema.$ref.split("/").pop() : null;
}

function kindOf(root, schema) {
  const whole = resolve(root, schema);
  if (whole.const !== undefined) return JSON.stringify(whole.const);
  if (whole.enum) return whole.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = whole.oneOf ?? whole.anyOf;
  if (choices) return choices.map((choice) => nameOf(choice) ?? kindOf(root, choice)).join(" | ");
  const kinds = [].concat(whole.type ?? "any").join(" | ");
  return whole.type === "array" ? `array of ${nameOf(whole.items) ?? kindOf(root, whole.items)}` : kinds;
}

function limitsOf(schema) {
  const limits = [];
  if (schema.minimum !== undefined) limits.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) limits.push(`to ${schema.maximum}`);
  if (schema.minLength !== undefined) limits.push(`at least ${schema.minLength} characters`);
  if (schema.maxLength !== undefined) limits.push(`at most ${schema.maxLength} characters`);
  if (schema.minItems !== undefined) limits.push(`at least ${schema.minItems}`);
  if (schema.maxItems !== undefined) limits.push(`at most ${schema.maxItems}`);
  if (schema.pattern !== undefined) limits.push(schema.pattern);
  return limits.join(", ");
}

function field(root, name, schema, needed, about, depth) {
  const whole = resolve(root, schema);
  const text = about ?? schema.description ?? whole.description;
  const limits = limitsOf(whole);
  return make("li", null,
    make("code", null, name), " ",
    make("span", { class: "kind" }, kindOf(root, schema) + (limits ? ` · ${limits}` : "")), " ",
    needed ? make("span", { class: "needed" }, "needed") : null,
    text ? make("span", { class: "about" }, text) : null,
    inner(root, schema, depth + 1));
}

function inner(root, schema, depth) {
  const whole = resolve(root, schema);
  if (depth > DEPTH) return null;
  const choices = (whole.oneOf ?? whole.anyOf)?.filter((choice) => resolve(root, choice).properties);
  if (choices?.length > 0) {
    const drawn = choices.map((choice) => {
      const chosen = resolve(root, choice);
      const tag = Object.values(chosen.properties).find((property) => property.const !== undefined)?.const;
      const title = tag ?? nameOf(choice) ?? chosen.description ?? "one form";
      return make("details", null, make("summary", null, make("code", null, String(title))), fields(root, chosen, depth));
    });
    return make("div", null, ...drawn);
  }
  if (whole.type === "array") return inner(root, whole.items, depth);
  return whole.properties ? fields(root, whole, depth) : null;
}

function fields(root, schema, depth) {
  const needed = schema.required ?? [];
  const drawn = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    field(root, name, property, needed.includes(name), null, depth));
  return make("ul", { class: "fields" }, ...drawn);
}

function answer(root, status, response) {
  const whole = resolve(root, response);
  const schema = whole.content?.["application/json"]?.schema;
  const body = schema && Number(status) < 400 ? inner(root, schema, 0) : null;
  return make("details", null,
    make("summary", null, make("code", null, status), " ", make("span", { class: "kind" }, whole.description.split("\n")[0])),
    make("span", { class: "about" }, whole.description.split("\n").slice(1).join("\n").trim()), body);
}

function operation(root, path, method, drawn) {
  const article = make("article", { id: drawn.operationId },
    make("h3", null, drawn.summary),
    make("p", { class: "path" }, make("span", { class: "method" }, method.toUpperCase()), path));
  if (drawn.description) article.append(make("p", { class: "quiet" }, drawn.description));
  const schemes = (drawn.security ?? []).flatMap((scheme) => Object.keys(scheme));
  article.append(make("p", { class: "quiet" }, schemes.length ? `Needs: ${schemes.join(" or ")}` : "Needs no token"));
  if (drawn.parameters?.length) {
    const parameters = drawn.parameters.map((parameter) =>
      field(root, `${parameter.name} (${parameter.in})`, parameter.schema, parameter.required, parameter.description, 0));
    article.append(make("h4", null, "Parameters"), make("ul", { class: "fields" }, ...parameters));
  }
  const body = drawn.requestBody?.content?.["application/json"]?.schema;
  if (body) article.append(make("h4", null, "Body"), inner(root, body, 0) ?? "");
  article.append(make("h4", null, "Answers"));
  for (const [status, response] of Object.entries(drawn.responses)) article.append(answer(root, status, response));
  return article;
}

function draw(root) {
  const contents = document.getElementById("contents");
  const main = document.getElementById("reference");
  contents.replaceChildren();
  main.replaceChildren(make("h1", null, root.info.title), make("p", { class: "quiet" }, root.info.description),
    make("p", null, make("a", { href: "v1/openapi.json" }, "OpenAPI document")));
  for (const tag of root.tags) {
    contents.append(make("h2", null, tag.name));
    main.append(make("h2", null, tag.name), make("p", { class: "quiet" }, tag.description));
    for (const [path, item] of Object.entries(root.paths)) {
      for (const method of METHODS.filter((known) => item[known]?.tags?.includes(tag.name))) {
        contents.append(make("a", { href: `#${item[method].operationId}` }, item[method].summary));
        main.append(operation(root, path, method, item[method]));
      }
    }
  }
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

fetch("v1/openapi.json")
  .then((response) => response.ok ? response.json() : Promise.reject(new Error(`the server answered ${response.status}`)))
  .then(draw)
  .catch((error) => {
    document.getElementById("reference").replaceChildren(make("p", null, `The reference cannot be shown: ${error.message}`));
  });
