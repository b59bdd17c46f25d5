//! The lab's admin port: faults and laws are changed while load runs, so that a break and a recovery
//! are one continuous picture. A change is checked whole before any of it is applied, and an error
//! lists the valid words: a fault that silently did not happen would falsify the run.
//!
//! Limits: loopback only, no authentication; it controls simulated services and nothing else.

use super::state::{Change, Upstream};
use crate::fault::Fault;
use crate::http::inbound::{self, Inbound, Method, Next};
use crate::law::Law;
use crate::scenario::closed;
use crate::stop::{Reason, Stop};
use crate::suggest;
use serde_json::{json, Value};
use std::rc::Rc;
use tokio::net::TcpStream;

pub(super) async fn connection(stream: TcpStream, all: Rc<[Rc<Upstream>]>, stop: Stop) {
    let mut inbound = Inbound::new(stream);
    let mut out = Vec::with_capacity(1024);
    loop {
        let head = match inbound.next().await {
            Next::Request(head) => head,
            Next::Closed => return,
            Next::Refused(status) => {
                inbound::problem(&mut out, status, "the request cannot be read", true);
                let _ = inbound.write(&out).await;
                return;
            }
        };
        let path = inbound.path(&head).to_owned();
        let Ok(body) = inbound.body(&head).await else {
            return;
        };
        let close = !head.keep_alive;
        match route(head.method, &path, body, &all) {
            Ok(value) => {
                let text = value.to_string();
                inbound::answer(&mut out, 200, "application/json", text.as_bytes(), close);
            }
            Err((status, detail)) => inbound::problem(&mut out, status, &detail, close),
        }
        let written = inbound.write(&out).await;
        if head.method == Method::Post && path == "/stop" {
            stop.trigger(Reason::Asked);
        }
        if close || written.is_err() || inbound.finish(&head).await.is_err() {
            return;
        }
    }
}

type Answer = Result<Value, (u16, String)>;

fn route(method: Method, path: &str, body: &[u8], all: &[Rc<Upstream>]) -> Answer {
    let name = path.strip_prefix("/upstreams/");
    match (method, path) {
        (Method::Get, "/state") => Ok(state(all)),
        (Method::Post, "/reset") => {
            for upstream in all {
                upstream.reset();
            }
            Ok(state(all))
        }
        (Method::Post, "/stop") => Ok(json!({ "stopping": true })),
        (Method::Post, _) if name.is_some() => change(name.unwrap_or(""), body, all),
        (_, "/state") => Err((405, "read `/state` with GET".to_owned())),
        (_, "/reset" | "/stop") => Err((405, format!("`{path}` changes things: use POST"))),
        _ if name.is_some() => Err((405, format!("`{path}` changes things: use POST"))),
        _ => Err((
            404,
            "there is GET /state, POST /upstreams/{name}, POST /reset and POST /stop".to_owned(),
        )),
    }
}

fn state(all: &[Rc<Upstream>]) -> Value {
    json!({ "upstreams": all.iter().map(|upstream| upstream.to_json()).collect::<Vec<_>>() })
}

fn change(name: &str, body: &[u8], all: &[Rc<Upstream>]) -> Answer {
    let names: Vec<&str> = all
        .iter()
        .map(|upstream| upstream.spec.name.as_str())
        .collect();
    let Some(upstream) = all.iter().find(|upstream| upstream.spec.name == name) else {
        let hint = suggest::hint(name, &names);
        return Err((
            404,
            format!(
                "no upstream `{name}`{hint}; there are: {}",
                names.join(", ")
            ),
        ));
    };
    let (fault, latency) = read_change(body, &upstream.spec.latency).map_err(|m| (400, m))?;
    upstream.change(fault, latency);
    Ok(upstream.to_json())
}

/// `null` takes a fault away and puts the scenario's latency back; an absent key changes nothing.
fn read_change(
    body: &[u8],
    configured: &Law,
) -> Result<(Change<Option<Fault>>, Change<Law>), String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    let object = closed(&value, "a change", &["fault", "latency"])?;
    let fault = match object.get("fault") {
        None => Change::Keep,
        Some(Value::Null) => Change::To(None),
        Some(fault) => Change::To(Some(Fault::from_json(fault)?)),
    };
    let latency = match object.get("latency") {
        None => Change::Keep,
        Some(Value::Null) => Change::To(configured.clone()),
        Some(latency) => Change::To(Law::from_json(latency)?),
    };
    if object.is_empty() {
        return Err("a change has `fault`, `latency` or both".to_owned());
    }
    Ok((fault, latency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::listen::loopback;
    use crate::scenario::{Scenario, ORDERS};

    fn lab() -> Vec<Rc<Upstream>> {
        let specs = Scenario::from_text(ORDERS).unwrap().upstreams;
        specs
            .into_iter()
            .map(|spec| Rc::new(Upstream::new(spec, 1, loopback(1))))
            .collect()
    }

    fn post(lab: &[Rc<Upstream>], path: &str, body: &str) -> Answer {
        route(Method::Post, path, body.as_bytes(), lab)
    }

    #[test]
    fn a_change_is_applied_whole_or_not_at_all() {
        let lab = lab();
        let both = r#"{"fault":{"kind":"hang"},"latency":{"constant_ms":9}}"#;
        let new = post(&lab, "/upstreams/coupons", both).unwrap();
        assert_eq!(new["fault"]["kind"], "hang");
        assert_eq!(new["latency"]["constant_ms"], 9.0);
        let half = r#"{"fault":null,"latency":{"constant":9}}"#;
        assert_eq!(post(&lab, "/upstreams/coupons", half).unwrap_err().0, 400);
        assert_eq!(state(&lab)["upstreams"][3]["fault"]["kind"], "hang");
        let reset = post(&lab, "/reset", "").unwrap();
        assert_eq!(reset["upstreams"][3]["fault"], Value::Null);
        assert_eq!(reset["upstreams"][3]["latency"]["constant_ms"], 5.0);
    }

    #[test]
    fn errors_say_what_exists() {
        let lab = lab();
        let (status, detail) = post(&lab, "/upstreams/coupon", "{}").unwrap_err();
        assert_eq!(status, 404);
        assert!(detail.contains("did you mean `coupons`?"), "{detail}");
        let (status, detail) =
            post(&lab, "/upstreams/coupons", r#"{"fault":{"kind":"jiter"}}"#).unwrap_err();
        assert_eq!(status, 400);
        assert!(detail.contains("did you mean `jitter`?"), "{detail}");
        assert!(detail.contains("valid kinds: errors, hang"), "{detail}");
        let (_, detail) = post(&lab, "/upstreams/coupons", r#"{"faults":null}"#).unwrap_err();
        assert!(detail.contains("did you mean `fault`?"), "{detail}");
        assert_eq!(post(&lab, "/upstreams/coupons", "{}").unwrap_err().0, 400);
        assert_eq!(post(&lab, "/upstreams/coupons", "{").unwrap_err().0, 400);
        assert_eq!(route(Method::Get, "/stop", b"", &lab).unwrap_err().0, 405);
        assert_eq!(route(Method::Get, "/", b"", &lab).unwrap_err().0, 404);
    }
}
