//! Where spans are sent, and what every request to the collector says.
//!
//! The failure prevented is a typing error that shows as an empty trace store: address and headers
//! are read once, before anything listens, and what is wrong with them is an error there. Headers
//! may be a token of the collector, so they come from the environment and stand in no blueprint, no
//! log and no message.
//!
//! Limits: `http://` only, as for upstreams; a collector of one's own stands in front of a service
//! that wants TLS.

use crate::addresses::Origin;
use std::time::Duration;
use tailrace_blueprint::{Blueprint, Tracing};

/// Bytes of all headers together.
const HEADERS_MAX: usize = 8 * 1024;

/// The collector.
#[derive(Debug, Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// Of one exchange, from the look-up of the name to the end of the answer.
    pub timeout: Duration,
    /// The head of each request, up to its `content-length`.
    pub head: Vec<u8>,
    /// Attributes of the process.
    pub resource: Vec<(String, String)>,
}

impl Target {
    /// That of a service, when it has one; its headers are read from the environment here.
    pub fn find(blueprint: &Blueprint) -> Result<Option<Self>, String> {
        let declared = blueprint.tracing.as_ref();
        let variable = |name: &str| std::env::var(name).ok();
        let target = declared.map(|declared| Self::new(&blueprint.service, declared, variable));
        target.transpose()
    }

    /// As it is declared; headers are what `variable` finds under the declared name.
    pub fn new(
        service: &str,
        declared: &Tracing,
        variable: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let origin = Origin::parse(&declared.endpoint)
            .map_err(|problem| format!("tracing.endpoint: {problem}"))?;
        let base = match &*origin.base {
            "" => "/",
            base => base,
        };
        let mut head = format!(
            "POST {base} HTTP/1.1\r\nhost: {}\r\nuser-agent: tailrace/{}\r\n\
             content-type: application/x-protobuf\r\nconnection: close\r\n",
            origin.authority,
            env!("CARGO_PKG_VERSION"),
        )
        .into_bytes();
        if let Some(said) = variable(&declared.headers_variable) {
            push_headers(&said, &mut head).map_err(|what| {
                let name = &declared.headers_variable;
                format!("the headers for the collector in the variable {name}: {what}")
            })?;
        }
        let mut resource = vec![("service.name".to_owned(), service.to_owned())];
        for (name, value) in &declared.resource {
            match resource.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1.clone_from(value),
                None => resource.push((name.clone(), value.clone())),
            }
        }
        Ok(Self {
            host: origin.host,
            port: origin.port,
            timeout: Duration::from_millis(declared.timeout_ms.into()),
            head,
            resource,
        })
    }
}

/// `name=value,name=value`, values percent-encoded (OpenTelemetry's form of the variable). Errors
/// name no value.
fn push_headers(said: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let before = out.len();
    for (index, pair) in said.split(',').map(str::trim).enumerate() {
        if pair.is_empty() {
            continue;
        }
        let number = index + 1;
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("entry {number} has no `=`; write name=value,name=value"))?;
        let name = name.trim().to_ascii_lowercase();
        let value = decoded(value.trim())
            .ok_or_else(|| format!("entry {number} is badly percent-encoded"))?;
        if !is_token(&name) || OWN.contains(&name.as_str()) {
            return Err(format!("entry {number} cannot be a header of its own"));
        }
        if !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(format!("the value of entry {number} is not printable"));
        }
        for bytes in [name.as_bytes(), b": ", &value, b"\r\n"] {
            out.extend_from_slice(bytes);
        }
        if out.len() - before > HEADERS_MAX {
            return Err(format!("more than {HEADERS_MAX} bytes"));
        }
    }
    Ok(())
}

/// Headers that are written here.
const OWN: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
];

fn is_token(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(known)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            out.push((high << 4 | low) as u8);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::Target;
    use tailrace_blueprint::Tracing;

    fn declared(endpoint: &str) -> Tracing {
        Tracing {
            endpoint: endpoint.to_owned(),
            ..Tracing::default()
        }
    }

    fn target(headers: &str) -> Result<String, String> {
        let declared = declared("http://collector:4318/v1/traces");
        let target = Target::new("s", &declared, |name| {
            assert_eq!(name, "OTEL_EXPORTER_OTLP_HEADERS");
            Some(headers.to_owned())
        });
        target.map(|target| String::from_utf8(target.head).unwrap())
    }

    #[test]
    fn the_head_says_where_and_with_what() {
        let head = target("Authorization=Bearer%20abc%3D, x-team = pay ,").unwrap();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\nhost: collector:4318\r\n"));
        let own = "connection: close\r\nauthorization: Bearer abc=\r\nx-team: pay\r\n";
        assert!(head.ends_with(own), "{head}");
        let root = Target::new("s", &declared("http://[::1]:9"), |_| None).unwrap();
        assert!(root
            .head
            .starts_with(b"POST / HTTP/1.1\r\nhost: [::1]:9\r\n"));
        assert_eq!((root.host.as_str(), root.port), ("::1", 9));
    }

    // RELIABILITY S04, S22: no line is forged, and no message says what was wrong with a secret.
    #[test]
    fn headers_that_are_none_are_refused_without_their_values() {
        for said in [
            "hunter2",
            "=hunter2",
            "a b=hunter2",
            "x=hunter2%0d%0aevil: 1",
            "x=hunter2%00",
            "x=hunter2%zz",
            "x=hunter2%2",
            "x=h\u{fc}nter2",
            "host=hunter2",
            "Content-Length=hunter2",
        ] {
            let problem = target(said).unwrap_err();
            assert!(problem.contains("OTEL_EXPORTER_OTLP_HEADERS"), "{problem}");
            assert!(!problem.contains("nter2"), "{problem}");
        }
        assert!(target(&format!("x={}", "y".repeat(9_000))).is_err());
    }

    #[test]
    fn the_process_is_called_as_it_is_told() {
        let mut declared = declared("http://c:1/");
        let named =
            |declared: &Tracing| Target::new("orders", declared, |_| None).unwrap().resource;
        let own = ("service.name".to_owned(), "orders".to_owned());
        assert_eq!(named(&declared), [own]);
        for (name, value) in [("service.name", "shop"), ("k8s.pod.name", "p-1")] {
            declared.resource.insert(name.to_owned(), value.to_owned());
        }
        let mut found = named(&declared);
        found.sort();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            found,
            [pair("k8s.pod.name", "p-1"), pair("service.name", "shop")]
        );
    }
}
