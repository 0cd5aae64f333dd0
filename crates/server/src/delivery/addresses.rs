//! Which addresses may be sent to: none of the operator's own networks, unless the operator allows them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use crate::config::WebhookConfig;

/// The longest URL in bytes.
const URL_BYTES: usize = 2048;

/// Why a URL may not be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressProblem {
    #[error("is no URL: {0}; it must be like https://example.org/path")]
    NoUrl(url::ParseError),
    #[error("has at most {URL_BYTES} bytes")]
    TooLong,
    #[error("must begin with https://{}", if *.http { " or http://" } else { "; the operator can allow http:// by --webhook-http" })]
    Scheme { http: bool },
    #[error("must not have a user name or password; the signature says who sends")]
    Credentials,
    #[error("must not have a fragment (#…): it is not sent")]
    Fragment,
    #[error(
        "leads to {address}, {what}; give one that is reachable from outside, or have the operator allow it by --webhook-allow"
    )]
    Private { address: IpAddr, what: &'static str },
}

/// What an operator has said of addresses.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Sent to although they are private.
    allowed: Vec<IpNet>,
    /// Whether URLs may be unencrypted.
    http: bool,
}

impl AddressRules {
    pub fn new(config: &WebhookConfig) -> Self {
        Self { allowed: config.webhook_allow.clone(), http: config.webhook_http }
    }

    /// With these addresses allowed as well, and with `http://`.
    #[must_use]
    pub fn and_allow(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.allowed.extend(addresses.into_iter().map(IpNet::from));
        Self { http: true, ..self }
    }

    /// Checks a URL. Where its name leads to is checked whenever it is sent to.
    pub fn check_url(&self, text: &str) -> Result<Url, AddressProblem> {
        if text.len() > URL_BYTES {
            return Err(AddressProblem::TooLong);
        }
        let url = Url::parse(text).map_err(AddressProblem::NoUrl)?;
        if url.scheme() != "https" && !(self.http && url.scheme() == "http") {
            return Err(AddressProblem::Scheme { http: self.http });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressProblem::Credentials);
        }
        if url.fragment().is_some() {
            return Err(AddressProblem::Fragment);
        }
        self.check_literal(&url)?;
        Ok(url)
    }

    /// Checks the host if it is an address: nobody resolves those.
    pub fn check_literal(&self, url: &Url) -> Result<(), AddressProblem> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(address.into()),
            Some(Host::Ipv6(address)) => self.check(address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Checks an address that is about to be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressProblem> {
        let meant = meant(address);
        let allowed = |address: &IpAddr| self.allowed.iter().any(|network| network.contains(address));
        match kind(meant) {
            Some(what) if !allowed(&meant) && !allowed(&address) => Err(AddressProblem::Private { address, what }),
            _ => Ok(()),
        }
    }
}

/// The IPv4 address that an IPv6 one leads to (mapped, NAT64, 6to4), or the address itself.
fn meant(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let parts = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => address,
    }
}

/// What kind of address it is; none for those of the whole world.
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => kind_of_v6(address),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("this machine itself"),
        [0, ..] => Some("this network itself"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [169, 254, ..] => Some("a link-local address"),
        [100, 64..=127, ..] => Some("an address behind a provider's NAT"),
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Some("a reserved address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn kind_of_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine itself"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("this network itself"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a private address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        // Only this eighth is given out, but for documentation, Teredo and local NAT64, which hide another address.
        [0x2001, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => Some("a reserved address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allowed: &[&str], http: bool) -> AddressRules {
        AddressRules { allowed: allowed.iter().map(|network| network.parse().unwrap()).collect(), http }
    }

    #[test]
    fn private_addresses_are_refused_in_whatever_form_and_public_ones_are_not() {
        let strict = rules(&[], false);
        let refused = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2002:c0a8:101::1",
            "::127.0.0.1",
            "2001:0:1::1",
            "2001:db8::1",
            "64:ff9b:1::1",
            "fec0::1",
        ];
        for address in refused {
            let found = strict.check(address.parse().unwrap());
            assert!(matches!(found, Err(AddressProblem::Private { .. })), "{address} {found:?}");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert_eq!(strict.check(address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_an_operator_allows_is_allowed_and_no_more() {
        let rules = rules(&["127.0.0.0/8", "fd00:1::/32"], false);
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "fd00:1::5"] {
            assert_eq!(rules.check(address.parse().unwrap()), Ok(()), "{address}");
        }
        for address in ["10.0.0.1", "::1", "fd00:2::5"] {
            assert!(rules.check(address.parse().unwrap()).is_err(), "{address}");
        }
        let one = AddressRules::default().and_allow(["10.1.2.3".parse().unwrap()]);
        assert!(one.check("10.1.2.3".parse().unwrap()).is_ok() && one.check("10.1.2.4".parse().unwrap()).is_err());
    }

    #[test]
    fn urls_say_what_is_wrong_with_them() {
        let strict = rules(&[], false);
        for (url, says) in [
            ("example.org/x", "is no URL"),
            ("http://example.org/x", "--webhook-http"),
            ("ftp://example.org/x", "must begin with https://"),
            ("https://alice:secret@example.org/", "user name"),
            ("https://example.org/#x", "fragment"),
            ("https://127.0.0.1/", "this machine itself"),
            ("https://0x7f.1/", "this machine itself"),
            ("https://2130706433/", "this machine itself"),
            ("https://[::ffff:127.0.0.1]/", "this machine itself"),
            ("https://[::1]:8443/", "--webhook-allow"),
            ("https://169.254.169.254/latest/meta-data", "link-local"),
        ] {
            let problem = strict.check_url(url).unwrap_err().to_string();
            assert!(problem.contains(says), "{url}: {problem}");
        }
        assert_eq!(strict.check_url(&format!("https://a/{}", "x".repeat(2048))), Err(AddressProblem::TooLong));
        assert!(strict.check_url("https://hooks.example.org:8443/a?b=c").is_ok());
        assert!(rules(&["127.0.0.1/32"], true).check_url("http://127.0.0.1:8080/").is_ok());
    }
}
