// Generates src/proto/schema.ts from the project's protobuf schema, and src/proto/codes.ts from its
// error catalogue. `--check` only tells whether they are what the sources say.
//
// Why not a ready-made generator: its runtime would be a tenth of the whole client's budget, and would
// hand out bigints and byte arrays where an application wants keys. Here ids (accounts, devices,
// timelines) are decimal strings, conversation and client ids are hexadecimal strings, and counts
// (n, seq, ordinal, times) are numbers, which the codec refuses beyond 2^53 − 1.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const proto = join(here, '../../../../crates/anser-proto')
const SCALARS = { string: 's', bytes: 'y', bool: 'b', uint32: 'u', uint64: 'n', int32: 'j', int64: 'J', double: 'd' }
const IDS = /^(accounts?|devices?|session|timeline|peer|author|members?|new_owner|mentions|watched)$/
const COUNTS_ALL_THE_SAME = new Set(['Head.mentions'])
const HEX = /^(cids?|client_id)$/

const camel = name => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase())

/** Messages and enums of a proto3 file in the plain form that this project writes. */
export function parse(source) {
  const messages = [], enums = []
  let doc = [], message = null, enumeration = null, oneof = null, oneofs = 0
  for (const raw of source.split('\n')) {
    const line = raw.trim()
    const comment = line.match(/^\/\/ ?(.*)$/)
    if (comment) { doc.push(comment[1]); continue }
    const take = () => { const taken = doc.join('\n'); doc = []; return taken }
    let m
    if (line === '') { doc = []; continue }
    if ((m = line.match(/^message (\w+) \{(\})?$/))) {
      message = { name: m[1], doc: take(), fields: [] }
      messages.push(message); oneofs = 0
      if (m[2]) message = null
    } else if ((m = line.match(/^enum (\w+) \{$/))) {
      enumeration = { name: m[1], doc: take(), values: [] }
      enums.push(enumeration)
    } else if ((m = line.match(/^oneof (\w+) \{$/))) {
      oneof = ++oneofs; take()
    } else if (line === '}') {
      doc = []
      if (oneof) oneof = null
      else if (enumeration) enumeration = null
      else message = null
    } else if (enumeration && (m = line.match(/^(\w+) = (\d+);$/))) {
      enumeration.values.push({ name: m[1], number: Number(m[2]), doc: take() })
    } else if (message && (m = line.match(/^(repeated |optional )?(map<(\w+), *(\w+)>|[\w.]+) (\w+) = (\d+);$/))) {
      message.fields.push({
        name: m[5], number: Number(m[6]), type: m[3] ? 'map' : m[2], key: m[3], value: m[4],
        repeated: m[1] === 'repeated ', oneof: oneof ?? (m[1] === 'optional ' ? ++oneofs : 0), doc: take(),
      })
    } else if (/^(syntax|package|reserved|import|option)\b/.test(line)) take()
    else throw new Error(`not understood: ${line}`)
  }
  return { messages, enums }
}

function kindOf(message, field, enums) {
  const path = `${message.name}.${field.name}`
  const scalar = (type, name) => {
    const kind = SCALARS[type]
    if (kind === 'n' && IDS.test(name) && !COUNTS_ALL_THE_SAME.has(path)) return 'i'
    if (kind === 'y' && HEX.test(name)) return 'x'
    return kind
  }
  if (field.type === 'map') return 'M' + scalar(field.key, '') + scalar(field.value, '')
  return scalar(field.type, field.name) ?? (enums.has(field.type) ? 'e' : 'm')
}

const TS = { s: 'string', y: 'Uint8Array', x: 'string', b: 'boolean', u: 'number', n: 'number', i: 'string', j: 'number', J: 'number', d: 'number' }

export function generate({ messages, enums }) {
  const names = new Set(enums.map(it => it.name))
  const comment = (doc, indent) => doc ? `${indent}/** ${doc.split('\n').join(`\n${indent} * `).replaceAll('*/', '')} */\n` : ''
  let out = '// Generated from crates/anser-proto/schema by scripts/generate.mjs. Do not edit.\n'
  out += "import type { Table } from './table.js'\n\n"
  for (const it of enums) {
    out += comment(it.doc, '') + `export const ${it.name} = {\n`
    for (const value of it.values) out += comment(value.doc, '  ') + `  ${value.name}: ${value.number},\n`
    out += `} as const\nexport type ${it.name} = number\n\n`
  }
  for (const message of messages) {
    out += comment(message.doc, '') + `export interface ${message.name} {\n`
    for (const field of message.fields) {
      const kind = kindOf(message, field, names)
      let type = kind[0] === 'M' ? `Map<${TS[kind[1]]}, ${TS[kind[2]]}>` : (TS[kind] ?? field.type)
      if (field.repeated) type += '[]'
      const may = (kind === 'm' && !field.repeated) || field.oneof ? '?' : ''
      out += comment(field.doc, '  ') + `  ${camel(field.name)}${may}: ${type}\n`
    }
    out += '}\n\n'
  }
  out += '/** Enum values by name, for the JSON form. */\nexport const ENUMS: Record<string, Record<string, number>> = {\n'
  out += enums.map(it => `  ${it.name},\n`).join('') + '}\n\n'
  out += '/** For each message: number, name, kind, of what, repeated, which choice it belongs to. */\nexport const TABLES: Record<string, Table> = {\n'
  for (const message of messages) {
    out += `  ${message.name}: [\n`
    for (const field of [...message.fields].sort((a, b) => a.number - b.number)) {
      const kind = kindOf(message, field, names)
      const of = kind === 'm' || kind === 'e' ? field.type : ''
      out += `    [${field.number}, '${camel(field.name)}', '${kind}', '${of}', ${field.repeated ? 1 : 0}, ${field.oneof}],\n`
    }
    out += '  ],\n'
  }
  return out + '}\n'
}

function codes(errors) {
  let out = '// Generated from crates/anser-proto/data/errors.json by scripts/generate.mjs. Do not edit.\n\n'
  out += '/** What to do after an error. */\nexport type Retry = ' + Object.keys(errors.retry_classes).map(it => `'${it}'`).join(' | ') + '\n\n'
  out += '/** The error catalogue: the retry class of each code. */\nexport const RETRY_OF: Record<string, Retry> = {\n'
  for (const it of errors.errors) out += `  ${it.code}: '${it.retry}',\n`
  return out + '}\n'
}

const schema = generate(parse(readFileSync(join(proto, 'schema/anser/v1/client.proto'), 'utf8')))
const catalogue = codes(JSON.parse(readFileSync(join(proto, 'data/errors.json'), 'utf8')))
for (const [name, text] of [['schema.ts', schema], ['codes.ts', catalogue]]) {
  const path = join(here, '../src/proto', name)
  if (!process.argv.includes('--check')) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text) {
    console.error(`${name} is not what the schema says: npm run generate -w packages/sdk`)
    process.exitCode = 1
  }
}
