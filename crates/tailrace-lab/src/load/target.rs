//! What to ask for: an address that was resolved once, and requests built into a reused buffer. The
//! id of a request is drawn from the seed, so two runs ask for the same things in the same order.

use crate::failure::Failure;
use std::fmt::Write;
use std::net::{SocketAddr, ToSocketAddrs};

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    /// Request bytes before and after the id.
    before: Vec<u8>,
    after: Vec<u8>,
    id_prefix: String,
    with_id: bool,
}

impl Target {
    pub(crate) fn new(url: &str, id_prefix: &str, headers: &[&str]) -> Result<Self, Failure> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            Failure::usage(format!(
                "`--url` starts with http:// (no TLS here): `{url}`"
            ))
        })?;
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let has_port = host
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let resolve = if has_port {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = resolve
            .to_socket_addrs()
            .ok()
            .and_then(|mut all| all.next())
            .ok_or_else(|| Failure::usage(format!("cannot resolve the host of `{url}`")))?;
        let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
        if !printable(path) || !printable(id_prefix) {
            return Err(Failure::usage(
                "the url and --id-prefix have no spaces or control bytes",
            ));
        }
        let mut tail = format!(" HTTP/1.1\r\nhost: {host}\r\n");
        for header in headers {
            let (name, value) = header
                .split_once(':')
                .filter(|_| !header.contains(['\r', '\n']))
                .ok_or_else(|| {
                    Failure::usage(format!("`--header` is 'name: value': `{header}`"))
                })?;
            let _ = write!(tail, "{}: {}\r\n", name.trim(), value.trim());
        }
        tail.push_str("\r\n");
        let (path, rest, with_id) = match path.split_once("{id}") {
            Some((before, after)) => (before, after, true),
            None => (path, "", false),
        };
        Ok(Self {
            address,
            before: format!("GET {path}").into_bytes(),
            after: format!("{rest}{tail}").into_bytes(),
            id_prefix: id_prefix.to_owned(),
            with_id,
        })
    }

    pub(crate) fn request(&self, id: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.before);
        if self.with_id {
            out.extend_from_slice(self.id_prefix.as_bytes());
            out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
        }
        out.extend_from_slice(&self.after);
    }

    pub(crate) fn id_text(&self, id: u64) -> String {
        if self.with_id {
            format!("{}{id}", self.id_prefix)
        } else {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_id_host_and_headers() {
        let url = "http://127.0.0.1:8080/api/orders/{id}?full=1";
        let target = Target::new(url, "o-", &["x-tier: gold"]).unwrap();
        let mut out = Vec::new();
        target.request(17, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "GET /api/orders/o-17?full=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nx-tier: gold\r\n\r\n"
        );
        assert_eq!(target.address.port(), 8080);
        assert_eq!(target.id_text(17), "o-17");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        assert!(Target::new("https://127.0.0.1/", "", &[])
            .unwrap_err()
            .message
            .contains("TLS"));
        assert!(Target::new("http://127.0.0.1:1/a b", "", &[]).is_err());
        assert!(Target::new("http://127.0.0.1:1/", "", &["nocolon"]).is_err());
        assert!(Target::new("http://127.0.0.1:1/", "", &["a: b\r\nc: d"]).is_err());
        assert!(Target::new("http://127.0.0.1:99999/", "", &[]).is_err());
    }
}
