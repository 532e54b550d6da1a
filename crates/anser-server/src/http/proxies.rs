//! Proxies in front of the server: from which of them, and in which header, a client's address is believed.
//!
//! One header is believed, the one that the operator names: a proxy that sets one of them passes the others on as
//! the client wrote them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use axum::http::HeaderMap;

/// A network: an address, and how many bits of it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix_bits: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write an address, or a network as 10.0.0.0/8 or fd00::/8")]
pub struct BadCidr;

impl Cidr {
    /// Whether the address lies in it. An IPv4 address written as an IPv6 one is the same address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.prefix_bits);
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = BadCidr;

    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| BadCidr)?;
        let longest = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            None => longest,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().map_err(|_| BadCidr)?
            }
            Some(_) => return Err(BadCidr),
        };
        if prefix_bits > longest { Err(BadCidr) } else { Ok(Cidr { network, prefix_bits }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

/// In which header trusted proxies say where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`: a list, each proxy appends.
    #[default]
    XForwardedFor,
    /// `Forwarded` of RFC 7239: the same as parameters `for=`.
    Forwarded,
    /// `X-Real-IP`: one address.
    XRealIp,
}

impl ProxyHeader {
    /// Every one.
    pub const ALL: [ProxyHeader; 3] =
        [ProxyHeader::XForwardedFor, ProxyHeader::Forwarded, ProxyHeader::XRealIp];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
            ProxyHeader::XRealIp => "x-real-ip",
        }
    }
}

/// Which proxies are believed, and in which header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Networks of the proxies; none: nobody is believed.
    pub trusted: Vec<Cidr>,
    /// The header that they set.
    pub header: ProxyHeader,
}

impl Proxies {
    /// Whether the address is one of a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Where a request comes from that `peer` sent: the peer, or, if it is a trusted proxy, the right-most address
    /// in the header that is none. What stands left of something that cannot be read is not believed.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut believed = peer.to_canonical();
        if !self.trusts(believed) {
            return believed;
        }
        let lines: Vec<&str> = headers
            .get_all(self.header.as_str())
            .iter()
            .map(|value| value.to_str().unwrap_or("unreadable"))
            .collect();
        let hops = lines.iter().flat_map(|line| elements(line)).collect::<Vec<_>>();
        for hop in hops.into_iter().rev() {
            let address = match self.header {
                ProxyHeader::Forwarded => forwarded_for(hop),
                ProxyHeader::XForwardedFor | ProxyHeader::XRealIp => address_in(hop),
            };
            let Some(address) = address else { return believed };
            believed = address.to_canonical();
            if !self.trusts(believed) {
                return believed;
            }
        }
        believed
    }
}

/// The elements of a list header; a comma in quotes belongs to its element.
fn elements(line: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    line.split(move |character| {
        quoted ^= character == '"';
        character == ',' && !quoted
    })
    .map(str::trim)
}

/// The address of `for=` in one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    address_in(value.trim().trim_matches('"'))
}

/// An address, with a port or without.
fn address_in(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return fits.then(|| address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)).flatten();
    }
    let (address, port) = text.split_once(':')?;
    is_port(port).then(|| address.parse().ok()).flatten()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn client(header: ProxyHeader, peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(header.as_str()), line.parse().unwrap());
        }
        Proxies { trusted, header }.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_client() {
        let from = |peer: &str, lines: &[&str]| client(ProxyHeader::XForwardedFor, peer, lines);
        assert_eq!(from("192.0.2.9", &["203.0.113.5"]), "192.0.2.9", "a stranger is not believed");
        assert_eq!(from("10.0.0.1", &["203.0.113.5"]), "203.0.113.5");
        assert_eq!(from("::ffff:10.0.0.1", &["203.0.113.5:4711"]), "203.0.113.5");
        assert_eq!(
            from("10.0.0.1", &["1.1.1.1, 203.0.113.5, 10.9.9.9"]),
            "203.0.113.5",
            "left of it is hearsay"
        );
        assert_eq!(
            from("10.0.0.1", &["1.1.1.1", "203.0.113.5", "10.9.9.9"]),
            "203.0.113.5",
            "lines are one list"
        );
        assert_eq!(from("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(
            from("10.0.0.1", &["10.0.0.7, 10.0.0.8"]),
            "10.0.0.7",
            "all are proxies: the first of them"
        );
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["203.0.113.5, nonsense, 10.0.0.8"]), "10.0.0.8");
        assert_eq!(from("10.0.0.1", &["203.0.113.5:99999"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &["203.0.113.5,"]), "10.0.0.1", "an empty element is nobody");
    }

    #[test]
    fn forwarded_and_real_ip_are_read_as_they_are_written() {
        let from = |lines: &[&str]| client(ProxyHeader::Forwarded, "fd00::1", lines);
        assert_eq!(from(&["for=192.0.2.60;proto=http;by=203.0.113.43"]), "192.0.2.60");
        assert_eq!(from(&["For=\"[2001:db8:cafe::17]:4711\""]), "2001:db8:cafe::17");
        assert_eq!(from(&["for=1.1.1.1, for=\"192.0.2.43:80\", for=10.1.2.3"]), "192.0.2.43");
        assert_eq!(from(&["for=1.1.1.1, for=\"_hidden, really\""]), "fd00::1");
        assert_eq!(from(&["for=1.1.1.1, for=unknown, for=10.1.2.3"]), "10.1.2.3");
        assert_eq!(from(&["proto=https"]), "fd00::1");
        assert_eq!(client(ProxyHeader::XRealIp, "10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn only_the_header_that_was_named_is_believed() {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let proxies = Proxies { trusted, header: ProxyHeader::XForwardedFor };
        let mut headers = HeaderMap::new();
        headers.append("forwarded", "for=1.1.1.1".parse().unwrap());
        headers.append("x-real-ip", "1.1.1.1".parse().unwrap());
        let peer = "10.0.0.1".parse().unwrap();
        assert_eq!(proxies.client(peer, &headers), peer);
    }

    #[test]
    fn networks_are_read_or_refused() {
        let contains = |network: &str, address: &str| {
            network.parse::<Cidr>().unwrap().contains(address.parse().unwrap())
        };
        assert!(contains("192.0.2.128/25", "192.0.2.200") && !contains("192.0.2.128/25", "192.0.2.1"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "2001:db8::1") && contains("::1", "::1") && !contains("::1", "::2"));
        for bad in
            ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "example.org", "10/8"]
        {
            assert_eq!(bad.parse::<Cidr>(), Err(BadCidr), "{bad}");
        }
    }
}
