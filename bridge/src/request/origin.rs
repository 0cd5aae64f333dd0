//! Which origins may use this bridge, and which requests were made by a page of one of them.

use http::header::{HOST, HeaderName, ORIGIN};
use http::{HeaderMap, Method};

use crate::api_error::{ApiError, Code};
use crate::config::Config;

/// Where the page that makes a request comes from, as browsers say (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who is one of ours. Borrowed from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Origins<'a> {
    /// Others that are let in, as a browser writes them.
    pub allowed: &'a [String],
    /// Our own origin as browsers see it, if it was configured.
    pub public: Option<&'a str>,
    /// Whether browsers reach us by https alone.
    pub secure: bool,
}

impl<'a> Origins<'a> {
    pub fn of(config: &'a Config) -> Self {
        Self { allowed: &config.allow_origins, public: config.public_url.as_deref(), secure: config.is_secure() }
    }

    /// Refuses pages of other origins; programs that send no origin may pass. Returns whether there was one.
    pub fn check(self, headers: &HeaderMap) -> Result<PageOrigin, ApiError> {
        let Some(origin) = headers.get(ORIGIN) else { return Ok(PageOrigin::Absent) };
        let origin = origin.to_str().unwrap_or_default();
        if self.is_own(origin, headers) || self.allowed.iter().any(|known| known.eq_ignore_ascii_case(origin)) {
            return Ok(PageOrigin::Known);
        }
        Err(forbidden("pages of this origin may not connect; the operator can allow it (--allow-origin)"))
    }

    /// The stricter rule for requests whose token is in a cookie, which browsers send by themselves: what changes something
    /// must have been begun by a page of ours, provably.
    pub fn check_cookie(self, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
        let site = headers.get(SEC_FETCH_SITE).map(|site| site.to_str().unwrap_or_default());
        match (self.check(headers)?, site) {
            (PageOrigin::Known, _) | (PageOrigin::Absent, Some("same-origin")) => Ok(()),
            (PageOrigin::Absent, Some("cross-site")) => Err(forbidden("this was begun by a page of another site")),
            (PageOrigin::Absent, _) if method.is_safe() => Ok(()),
            (PageOrigin::Absent, _) => {
                Err(forbidden("with a session cookie, send an Origin as browsers do, or Authorization instead"))
            }
        }
    }

    /// Without `public` our own origin is known by the host that was asked for.
    fn is_own(self, origin: &str, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let same_host = origin.split_once("://").is_some_and(|(scheme, authority)| {
            let known = scheme == "https" || (scheme == "http" && !self.secure);
            known && !host.is_empty() && authority.eq_ignore_ascii_case(host)
        });
        same_host || self.public.is_some_and(|public| public.eq_ignore_ascii_case(origin))
    }
}

/// Whether a request says which page it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOrigin {
    Known,
    /// None: mostly a program.
    Absent,
}

fn forbidden(why: &'static str) -> ApiError {
    ApiError::new(Code::OriginForbidden, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(more: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "app.example:8080")].iter().chain(more) {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    fn origins(allowed: &[String]) -> Origins<'_> {
        Origins { allowed, public: None, secure: false }
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let allowed = ["https://other.example".to_owned()];
        let judged = |origins: Origins<'_>, origin| origins.check(&head(&[("origin", origin)])).is_ok();
        for good in ["http://app.example:8080", "https://APP.example:8080", "https://other.example"] {
            assert!(judged(origins(&allowed), good), "{good}");
        }
        for bad in [
            "https://evil.example",
            "http://app.example",
            "http://app.example:8080.evil.example",
            "null",
            "",
            "ftp://app.example:8080",
        ] {
            assert!(!judged(origins(&allowed), bad), "{bad}");
        }
        assert_eq!(origins(&[]).check(&head(&[])).unwrap(), PageOrigin::Absent);
        // Where https is used throughout, a page that came by plain http may have been made by anybody on the way.
        let secure = Origins { secure: true, public: Some("https://courant.example"), allowed: &[] };
        assert!(judged(secure, "https://app.example:8080") && judged(secure, "https://courant.example"));
        assert!(!judged(secure, "http://app.example:8080") && !judged(secure, "http://courant.example"));
    }

    #[test]
    fn with_a_cookie_a_change_must_come_from_a_page_of_ours() {
        let judged = |method: Method, more: &[(&'static str, &str)]| {
            origins(&["https://other.example".to_owned()]).check_cookie(&method, &head(more)).is_ok()
        };
        let (own, site) = (("origin", "http://app.example:8080"), |site| ("sec-fetch-site", site));
        assert!(judged(Method::POST, &[own]));
        assert!(judged(Method::POST, &[("origin", "https://other.example"), site("cross-site")]));
        assert!(judged(Method::DELETE, &[site("same-origin")]));
        for bad in [&[][..], &[site("same-site")], &[site("none")], &[site("cross-site")], &[("origin", "null")]] {
            assert!(!judged(Method::POST, bad), "{bad:?}");
        }
        assert!(!judged(Method::POST, &[("origin", "https://evil.example"), site("same-origin")]));
        for good in [&[][..], &[site("same-site")], &[site("none")], &[own]] {
            assert!(judged(Method::GET, good), "{good:?}");
        }
        assert!(!judged(Method::GET, &[site("cross-site")]));
        assert!(!judged(Method::GET, &[("origin", "https://evil.example")]));
    }
}
