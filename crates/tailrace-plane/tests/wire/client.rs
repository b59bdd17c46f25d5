//! A raw client: any bytes out, strictly read replies in, every read limited in time.

use crate::patience::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The stable code of a problem; empty for anything else.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") != Some("application/problem+json") {
            return String::new();
        }
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The last reply on its connection, as it says itself.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the plane listens");
        Self::from(stream)
    }

    /// As `connect`, for a port that may refuse.
    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        TcpStream::connect(address).map(Self::from)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the plane reads");
    }

    /// Sends what the plane will take; it may have closed already, which is what the test is about.
    pub(crate) fn send_lossy(&mut self, bytes: impl AsRef<[u8]>) {
        // Only the replies tell what became of it.
        self.stream.write_all(bytes.as_ref()).ok();
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.send(get(target));
        self.reply()
    }

    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply(false)
            .unwrap_or_else(|why| panic!("no reply: {why}"))
    }

    /// The reply to a HEAD: no body follows.
    pub(crate) fn reply_without_body(&mut self) -> Reply {
        self.try_reply(true)
            .unwrap_or_else(|why| panic!("no reply: {why}"))
    }

    /// One reply, or why there is none.
    pub(crate) fn try_reply(&mut self, head_only: bool) -> Result<Reply, String> {
        let end = loop {
            if let Some(at) = self.input.windows(4).position(|end| end == b"\r\n\r\n") {
                break at;
            }
            self.read_more()?;
        };
        let head: Vec<u8> = self.input.drain(..end + 4).collect();
        let head = String::from_utf8(head).map_err(|error| error.to_string())?;
        let (status, headers) = parse(&head[..end])?;
        let mut reply = Reply {
            status,
            headers,
            body: Vec::new(),
        };
        if head_only || status == 204 || status < 200 {
            return Ok(reply);
        }
        let length = reply.header("content-length").ok_or("no content-length")?;
        let length: usize = length
            .parse()
            .map_err(|_| format!("content-length {length}"))?;
        while self.input.len() < length {
            self.read_more()?;
        }
        reply.body = self.input.drain(..length).collect();
        Ok(reply)
    }

    fn read_more(&mut self) -> Result<(), String> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(format!(
                "closed after {:?}",
                String::from_utf8_lossy(&self.input)
            )),
            Ok(count) => {
                self.input.extend_from_slice(&bytes[..count]);
                Ok(())
            }
            Err(error) => Err(format!(
                "{error} after {:?}",
                String::from_utf8_lossy(&self.input)
            )),
        }
    }

    /// Everything up to the end of the connection. A reset is an end too; only silence is not.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                Err(error) => panic!("still open: {error}"),
            }
        }
        std::mem::take(&mut self.input)
    }

    /// Whether nothing arrives, and the connection stays open, for so long.
    pub(crate) fn is_silent(&mut self, time: Duration) -> bool {
        self.stream
            .set_read_timeout(Some(time))
            .expect("a limit above zero");
        let mut byte = [0];
        let silent = matches!(self.stream.peek(&mut byte), Err(error)
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a limit above zero");
        silent && self.input.is_empty()
    }

    /// No more bytes from here; what the plane still says can be read.
    pub(crate) fn finish(&mut self) {
        // The plane may have closed first.
        self.stream.shutdown(Shutdown::Write).ok();
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

impl From<TcpStream> for Client {
    fn from(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an open socket");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a limit above zero");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a limit above zero");
        Self {
            stream,
            input: Vec::new(),
        }
    }
}

/// A plain GET of this target.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n")
}

type Headers = Vec<(String, String)>;

fn parse(head: &str) -> Result<(u16, Headers), String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("status line {first:?}"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| format!("header {line:?}"))?;
        if line.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(format!("a control byte in {line:?}"));
        }
        headers.push((name.to_owned(), value.to_owned()));
    }
    Ok((status, headers))
}
