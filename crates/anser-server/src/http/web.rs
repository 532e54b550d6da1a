//! The web client: its files, which are part of the program, and what the browser may do with them.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

/// One file, as it is and compressed.
struct Asset {
    path: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/web_assets.rs"));

/// Everything that the client needs comes from here; nothing else may be loaded, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; font-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const PAGE: &str = "/index.html";

/// What `/` says where the client was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Anser</title>\
    <h1>Anser is running</h1>\
    <p>This program was built without the web client. With Node 20 or newer, in the folder of the sources:</p>\
    <pre>cargo xtask run</pre>\
    <p>builds it in. Until then: <code>anser chat</code> in a terminal.</p>\
    <p lang=\"zh-CN\">服务已启动，但此程序未包含网页客户端。安装 Node 20 或更新版本后，在源码目录执行 \
    <code>cargo xtask run</code> 即可；也可以在终端使用 <code>anser chat</code>。</p></html>";

/// The answer where the path is one of the client's; none for any other.
pub(super) fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Option<Response> {
    let path = if path == "/" { PAGE } else { path };
    let asset = ASSETS.iter().find(|asset| asset.path == path);
    if asset.is_none() && path != PAGE {
        return None;
    }
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let mut response = match asset {
        Some(asset) => file(asset, headers),
        None => (StatusCode::OK, NOT_BUILT).into_response(),
    };
    let given = response.headers_mut();
    given.insert(header::CONTENT_TYPE, HeaderValue::from_static(type_of(path)));
    given.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    given.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What has a hash in its name never changes; the rest is asked for anew each time.
    let keep = if path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    given.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    Some(response)
}

/// The smallest form that the browser takes.
fn file(asset: &Asset, headers: &HeaderMap) -> Response {
    let accepted =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts = |coding: &str| {
        accepted.split(',').filter_map(|part| part.split(';').next()).any(|name| name.trim() == coding)
    };
    let (coding, bytes) = match asset {
        Asset { brotli: Some(bytes), .. } if accepts("br") => (Some("br"), *bytes),
        Asset { gzip: Some(bytes), .. } if accepts("gzip") => (Some("gzip"), *bytes),
        Asset { plain, .. } => (None, *plain),
    };
    let mut response = (StatusCode::OK, bytes).into_response();
    let given = response.headers_mut();
    given.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(coding) = coding {
        given.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn type_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str, encoding: &'static str) -> Option<Response> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        answer(&Method::GET, path, &headers)
    }

    #[test]
    fn the_page_is_there_whether_the_client_was_built_or_not_and_allows_nothing_from_outside() {
        let response = get("/", "").expect("there is always a page");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("it is text");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        assert!(get("/nothing", "").is_none());
        assert!(answer(&Method::POST, "/", &HeaderMap::new()).is_none());
    }

    #[test]
    fn files_come_in_the_smallest_form_that_is_taken() {
        let asset = Asset { path: "/a.js", plain: b"plain", gzip: Some(b"gzip"), brotli: Some(b"br") };
        let coding = |accepted: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            file(&asset, &headers).headers().get(header::CONTENT_ENCODING).cloned()
        };
        assert_eq!(coding("gzip, deflate, br;q=1.0").expect("compressed"), "br");
        assert_eq!(coding("gzip").expect("compressed"), "gzip");
        assert_eq!(coding("identity"), None);
    }
}
