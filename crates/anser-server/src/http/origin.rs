//! The Origin rule: a page of another site must not speak for whoever looks at it.

use std::fmt;
use std::str::FromStr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};

/// The origin of pages that may connect: scheme, host, and the port unless it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// The text is no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write an origin as a browser does: https://chat.example.org, with :port only if it is not the usual one"
)]
pub struct BadOrigin;

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (scheme, authority) = text.split_once("://").ok_or(BadOrigin)?;
        let letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        if !letters(scheme) || authority.is_empty() || !authority.chars().all(fits) {
            return Err(BadOrigin);
        }
        Ok(Origin(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether whoever sends these headers may open a socket. Programs send no Origin; a page's must be the host that
/// it connects to, or one of those allowed.
pub fn may_connect(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let text = |value: &HeaderValue| value.to_str().map(str::to_ascii_lowercase).unwrap_or_default();
    let origin = text(origin);
    let host = headers.get(HOST).map(text).unwrap_or_default();
    let is_host =
        !host.is_empty() && origin.split_once("://").is_some_and(|(_, authority)| authority == host);
    origins.next().is_none() && (is_host || allowed.iter().any(|allowed| allowed.0 == origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_connects_to_its_own_host_or_where_it_is_allowed() {
        let allowed = ["https://web.example.org".parse().unwrap(), "capacitor://localhost".parse().unwrap()];
        let may = |origins: &[&str], host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            for origin in origins {
                headers.append(ORIGIN, origin.parse().unwrap());
            }
            may_connect(&headers, &allowed)
        };
        assert!(may(&[], "im.example.org"));
        assert!(may(&["https://im.example.org"], "im.example.org"));
        assert!(may(&["https://im.example.org"], "IM.example.org"));
        assert!(may(&["https://web.example.org"], "im.example.org"));
        assert!(may(&["capacitor://localhost"], "im.example.org"));
        for stranger in [
            "https://evil.example",
            "http://web.example.org",
            "https://web.example.org:444",
            "https://web.example.org.evil.example",
            "null",
            "",
        ] {
            assert!(!may(&[stranger], "im.example.org"), "{stranger}");
        }
        assert!(
            !may(&["https://im.example.org", "https://evil.example"], "im.example.org"),
            "two are a trick"
        );
        assert!(!may(&["https://"], ""), "no host is nobody's");
    }

    #[test]
    fn origins_are_read_or_refused() {
        assert_eq!(
            "HTTPS://Web.Example.org".parse::<Origin>().unwrap().to_string(),
            "https://web.example.org"
        );
        for bad in ["", "*", "web.example.org", "https://", "https://a/", "https://a b", "://a"] {
            assert_eq!(bad.parse::<Origin>(), Err(BadOrigin), "{bad}");
        }
    }
}
