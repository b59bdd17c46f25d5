//! Faults a simulated upstream can be told to have. Each is one way in which real services hurt an
//! aggregation: slow, silent, broken off, lying about length, answering what was not asked. The
//! table below is the whole vocabulary; a misspelt kind or setting is refused, because a fault that
//! was silently not injected makes every later number a lie.

use crate::law::between;
use crate::suggest;
use serde_json::{json, Map, Value};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// An error status with a problem body.
    Errors { status: u16 },
    /// No answer for as long as the fault is on.
    Hang,
    /// The connection is reset instead of answered.
    Reset,
    /// Head at once, then `chunk_bytes` every `every_ms`.
    SlowBody { chunk_bytes: u32, every_ms: u32 },
    /// Announces the whole body, sends half of it, closes.
    ShortBody,
    /// Adds `adds_ms`; meant for a small share of the requests.
    Jitter { adds_ms: f64 },
    /// A body that is not JSON.
    Garbage,
    /// Every field of the body has another JSON type.
    WrongType,
    /// An HTML page instead of JSON, with status 200.
    WrongContentType,
    /// A chunked body that goes on for `mib` mebibytes.
    Oversized { mib: u32 },
    /// A complete answer followed by bytes that nobody asked for.
    ExtraBytes,
    /// Both content-length and transfer-encoding.
    BothFramingHeaders,
    /// Adds `adds_ms`.
    Delay { adds_ms: f64 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Share of requests that meet it.
    pub(crate) probability: f64,
}

/// Name and settings; `probability` is common to all.
const KINDS: [(&str, &[&str]); 13] = [
    ("errors", &["status"]),
    ("hang", &[]),
    ("reset", &[]),
    ("slow_body", &["chunk_bytes", "every_ms"]),
    ("short_body", &[]),
    ("jitter", &["adds_ms"]),
    ("garbage", &[]),
    ("wrong_type", &[]),
    ("wrong_content_type", &[]),
    ("oversized", &["mib"]),
    ("extra_bytes", &[]),
    ("both_framing_headers", &[]),
    ("delay", &["adds_ms"]),
];

impl Fault {
    /// From `{"kind": "errors", "status": 503, "probability": 0.2}`.
    pub(crate) fn from_json(value: &Value) -> Result<Self, String> {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let valid = names.join(", ");
        let object = value.as_object().ok_or_else(|| {
            format!("a fault is an object such as {{\"kind\": \"hang\"}}; valid kinds: {valid}")
        })?;
        let Some(kind) = object.get("kind").and_then(Value::as_str) else {
            return Err(format!("a fault needs `kind`, one of: {valid}"));
        };
        let Some((_, settings)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            let hint = suggest::hint(kind, &names);
            return Err(format!(
                "unknown fault kind `{kind}`{hint}; valid kinds: {valid}"
            ));
        };
        let mut takes = vec!["kind"];
        takes.extend_from_slice(settings);
        takes.push("probability");
        if let Some(unknown) = object.keys().find(|key| !takes.contains(&key.as_str())) {
            let hint = suggest::hint(unknown, &takes);
            let takes = takes.join(", ");
            return Err(format!(
                "fault `{kind}` has no `{unknown}`{hint}; it takes: {takes}"
            ));
        }
        let read = |name: &str, default: Option<f64>, least: f64, most: f64| match (
            object.get(name),
            default,
        ) {
            (Some(value), _) => between(value, &format!("{kind}.{name}"), least, most),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(format!("fault `{kind}` needs `{name}`")),
        };
        let whole = |name: &str, default: f64, least: f64, most: f64| {
            read(name, Some(default), least, most).map(|number| number as u32)
        };
        let kind = match kind {
            "errors" => Kind::Errors {
                status: whole("status", 500.0, 400.0, 599.0)? as u16,
            },
            "hang" => Kind::Hang,
            "reset" => Kind::Reset,
            "slow_body" => Kind::SlowBody {
                chunk_bytes: whole("chunk_bytes", 16.0, 1.0, 65_536.0)?,
                every_ms: whole("every_ms", 20.0, 1.0, 60_000.0)?,
            },
            "short_body" => Kind::ShortBody,
            "jitter" => Kind::Jitter {
                adds_ms: read("adds_ms", Some(120.0), 0.0, 600_000.0)?,
            },
            "garbage" => Kind::Garbage,
            "wrong_type" => Kind::WrongType,
            "wrong_content_type" => Kind::WrongContentType,
            "oversized" => Kind::Oversized {
                mib: whole("mib", 64.0, 1.0, 4096.0)?,
            },
            "extra_bytes" => Kind::ExtraBytes,
            "both_framing_headers" => Kind::BothFramingHeaders,
            _ => Kind::Delay {
                adds_ms: read("adds_ms", None, 0.0, 600_000.0)?,
            },
        };
        let usual = if matches!(kind, Kind::Jitter { .. }) {
            0.02
        } else {
            1.0
        };
        Ok(Self {
            kind,
            probability: read("probability", Some(usual), 0.0, 1.0)?,
        })
    }

    pub(crate) fn to_json(self) -> Value {
        let mut object = Map::new();
        object.insert("kind".to_owned(), json!(self.kind.name()));
        match self.kind {
            Kind::Errors { status } => {
                object.insert("status".to_owned(), json!(status));
            }
            Kind::SlowBody {
                chunk_bytes,
                every_ms,
            } => {
                object.insert("chunk_bytes".to_owned(), json!(chunk_bytes));
                object.insert("every_ms".to_owned(), json!(every_ms));
            }
            Kind::Jitter { adds_ms } | Kind::Delay { adds_ms } => {
                object.insert("adds_ms".to_owned(), json!(adds_ms));
            }
            Kind::Oversized { mib } => {
                object.insert("mib".to_owned(), json!(mib));
            }
            _ => {}
        }
        object.insert("probability".to_owned(), json!(self.probability));
        Value::Object(object)
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Errors { .. } => "errors",
            Self::Hang => "hang",
            Self::Reset => "reset",
            Self::SlowBody { .. } => "slow_body",
            Self::ShortBody => "short_body",
            Self::Jitter { .. } => "jitter",
            Self::Garbage => "garbage",
            Self::WrongType => "wrong_type",
            Self::WrongContentType => "wrong_content_type",
            Self::Oversized { .. } => "oversized",
            Self::ExtraBytes => "extra_bytes",
            Self::BothFramingHeaders => "both_framing_headers",
            Self::Delay { .. } => "delay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Result<Fault, String> {
        Fault::from_json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn every_kind_parses_and_survives_its_json() {
        for (name, _) in KINDS {
            let text = match name {
                "delay" => r#"{"kind":"delay","adds_ms":30}"#.to_owned(),
                _ => format!(r#"{{"kind":"{name}"}}"#),
            };
            let parsed = fault(&text).unwrap();
            assert_eq!(parsed.kind.name(), name);
            assert_eq!(Fault::from_json(&parsed.to_json()).unwrap(), parsed);
        }
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let jitter = fault(r#"{"kind":"jitter"}"#).unwrap();
        assert_eq!(
            jitter,
            Fault {
                kind: Kind::Jitter { adds_ms: 120.0 },
                probability: 0.02
            }
        );
        let errors = fault(r#"{"kind":"errors"}"#).unwrap();
        assert_eq!(
            errors,
            Fault {
                kind: Kind::Errors { status: 500 },
                probability: 1.0
            }
        );
    }

    #[test]
    fn mistakes_name_the_valid_words() {
        let message = fault(r#"{"kind":"hangs"}"#).unwrap_err();
        assert_eq!(
            message,
            "unknown fault kind `hangs` (did you mean `hang`?); valid kinds: errors, hang, reset, \
             slow_body, short_body, jitter, garbage, wrong_type, wrong_content_type, oversized, \
             extra_bytes, both_framing_headers, delay"
        );
        let message = fault(r#"{"kind":"errors","statuss":503}"#).unwrap_err();
        assert_eq!(
            message,
            "fault `errors` has no `statuss` (did you mean `status`?); it takes: kind, status, \
             probability"
        );
        assert!(fault(r#"{"kind":"errors","status":200}"#)
            .unwrap_err()
            .contains("400 to 599"));
        assert!(fault(r#"{"kind":"hang","probability":2}"#)
            .unwrap_err()
            .contains("0 to 1"));
        assert!(fault(r#"{"kind":"delay"}"#)
            .unwrap_err()
            .contains("needs `adds_ms`"));
        assert!(fault(r#"{"status":503}"#)
            .unwrap_err()
            .contains("needs `kind`"));
        assert!(fault(r#""hang""#).unwrap_err().contains("valid kinds"));
    }
}
