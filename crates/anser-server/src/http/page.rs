//! The reference page under `/api/`: three files of our own that show the document, and nothing from elsewhere.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::HttpState;

const HTML: &str = include_str!("reference/index.html");
const SCRIPT: &str = include_str!("reference/reference.js");
const STYLE: &str = include_str!("reference/reference.css");
/// Nothing but what this server serves, and nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and what it is made of.
pub fn routes() -> Router<HttpState> {
    Router::new()
        .route("/api", get(|| async { Redirect::permanent("/api/") }))
        .route("/api/", get(|| async { file("text/html; charset=utf-8", HTML) }))
        .route("/api/reference.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/api/reference.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere() {
        for content in [HTML, SCRIPT, STYLE] {
            assert!(
                !content.contains("http://") && !content.contains("https://") && !content.contains("@import")
            );
        }
        assert!(
            !HTML.contains("<style") && !HTML.contains("style=") && !HTML.contains("onload="),
            "the policy"
        );
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("), "text stays text");
    }
}
