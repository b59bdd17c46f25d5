//! The whole lab in one process: simulated upstreams, the naive service over them and open-loop
//! load, on ports the system chose. Waits for readiness lines, never for seconds (req 2.1, 2.2).

// The test functions may unwrap already; their helpers are test code too.
#![allow(clippy::unwrap_used)]

use serde_json::{json, Value};
use std::cell::RefCell;
use std::rc::Rc;
use tailrace_lab::{dispatch, Sink, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{spawn_local, JoinHandle};

/// A verb running beside the test, and the lines it has printed.
struct Verb {
    lines: Rc<RefCell<Vec<Value>>>,
    printed: Rc<Notify>,
    stop: Stop,
    task: JoinHandle<Result<i32, String>>,
}

impl Verb {
    fn start(command: &str) -> Self {
        let args: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let (lines, printed) = (
            Rc::<RefCell<Vec<Value>>>::default(),
            Rc::<Notify>::default(),
        );
        let stop = Stop::new();
        let (to, tell) = (Rc::clone(&lines), Rc::clone(&printed));
        let sink: Sink = Box::new(move |line| {
            to.borrow_mut().push(line);
            tell.notify_one();
        });
        let stopped = stop.clone();
        let task = spawn_local(async move {
            dispatch(&args, &sink, &stopped)
                .await
                .map_err(|failure| failure.to_string())
        });
        Self {
            lines,
            printed,
            stop,
            task,
        }
    }

    async fn ready(&self) -> Value {
        loop {
            if let Some(line) = self.lines.borrow().first() {
                assert_eq!(line["ready"], true);
                return line.clone();
            }
            self.printed.notified().await;
        }
    }

    async fn end(self) -> (Result<i32, String>, Vec<Value>) {
        let code = self.task.await.unwrap();
        let lines = self.lines.borrow().clone();
        (code, lines)
    }
}

/// One request on a connection of its own; everything until the peer closes.
async fn ask(address: &str, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         \r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    // A reset ends the reply too; what came before it is the answer.
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

async fn ask_json(address: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    let reply = ask(address, method, path, body).await;
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let status = head
        .get(9..12)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

struct Lab {
    upstreams: Verb,
    naive: Verb,
    admin: String,
    orders: String,
    service: String,
}

impl Lab {
    async fn start() -> Self {
        let upstreams = Verb::start("upstreams --port-base 0 --admin-port 0");
        let ready = upstreams.ready().await;
        let list = ready["upstreams"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let named: Vec<String> = list
            .iter()
            .map(|u| format!("{}={}", text(&u["name"]), text(&u["address"])))
            .collect();
        let options = "--listen 127.0.0.1:0 --timeout-ms 300 --retries 2";
        let naive = Verb::start(&format!("naive {options} --upstreams {}", named.join(",")));
        let service = text(&naive.ready().await["address"]);
        let (admin, orders) = (text(&ready["admin"]), text(&list[0]["address"]));
        Self {
            upstreams,
            naive,
            admin,
            orders,
            service,
        }
    }

    async fn fault(&self, upstream: &str, fault: Value) {
        let path = format!("/upstreams/{upstream}");
        let change = json!({ "fault": fault }).to_string();
        let (status, state) = ask_json(&self.admin, "POST", &path, &change).await;
        assert_eq!(status, 200, "{state}");
    }

    async fn requests(&self, upstream: usize) -> u64 {
        let (_, state) = ask_json(&self.admin, "GET", "/state", "").await;
        state["upstreams"][upstream]["requests"].as_u64().unwrap()
    }

    async fn load(&self, options: &str) -> (i32, Vec<Value>) {
        let url = format!("http://{}/api/orders/{{id}}", self.service);
        let verb = Verb::start(&format!("load --url {url} --warmup 0 {options}"));
        let (code, lines) = verb.end().await;
        (code.unwrap(), lines)
    }

    async fn stop(self) {
        self.naive.stop.trigger(tailrace_lab::Reason::Asked);
        assert_eq!(self.naive.end().await.0, Ok(0));
        assert_eq!(ask_json(&self.admin, "POST", "/stop", "").await.0, 200);
        assert_eq!(self.upstreams.end().await.0, Ok(0));
    }
}

fn in_lab<F: std::future::Future<Output = ()>>(test: impl FnOnce(Lab) -> F) {
    let options = tokio::runtime::LocalOptions::default();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(options).unwrap();
    runtime.block_on(async { test(Lab::start().await).await });
}

#[test]
fn an_order_is_aggregated_and_every_request_is_accounted_for() {
    in_lab(|lab| async move {
        let (_, lines) = lab
            .load("--rate 200 --seconds 0.5 --connections 8 --fetch 2 --histogram")
            .await;
        let summary = lines.last().unwrap();
        assert_eq!(summary["type"], "summary");
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert!(count("scheduled") > 50, "{summary}");
        assert_eq!(count("scheduled"), count("sent") + count("unsent"));
        assert_eq!(
            count("sent"),
            count("done") + count("failed") + count("timed_out")
        );
        assert_eq!(summary["statuses"]["200"], count("done"));
        assert_eq!((count("errors"), count("degraded")), (0, 0));
        assert_eq!(summary["p999_ms"], Value::Null);
        assert!(summary["p50_ms"].as_f64().unwrap() >= 5.0, "{summary}");
        let buckets = summary["histogram_ms"].as_array().unwrap();
        let samples: u64 = buckets
            .iter()
            .map(|bucket| bucket[1].as_u64().unwrap())
            .sum();
        assert_eq!(samples, count("samples"));
        let bodies: Vec<&Value> = lines.iter().filter(|line| line["type"] == "body").collect();
        assert_eq!(bodies.len(), 2);
        let body: Value = serde_json::from_str(bodies[0]["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["order"]["id"], bodies[0]["id"]);
        let parts = ["order", "user", "inventory", "coupon", "recommend"];
        assert!(parts.iter().all(|part| body[part].is_object()), "{body}");
        assert_eq!(body["degraded"], json!([]));
        lab.stop().await;
    });
}

#[test]
fn blind_retries_amplify_and_a_strong_failure_is_502() {
    in_lab(|lab| async move {
        lab.fault("orders", json!({"kind": "errors", "status": 503}))
            .await;
        let before = lab.requests(0).await;
        let (status, problem) = ask_json(&lab.service, "GET", "/api/orders/o-1", "").await;
        assert_eq!(
            (status, problem["detail"].as_str()),
            (502, Some("order: status 503"))
        );
        // One request became three attempts (req 2.2).
        assert_eq!(lab.requests(0).await - before, 3);
        let (_, curves) = ask_json(&lab.service, "GET", "/stats", "").await;
        assert_eq!(
            (curves["retries"].as_u64(), curves["attempts"].as_u64()),
            (Some(2), Some(7))
        );
        assert_eq!(
            (curves["tasks"].as_u64(), curves["in_flight"].as_u64()),
            (Some(0), Some(0))
        );
        lab.stop().await;
    });
}

/// Overload is judged by stage and by status: what is refused must not hide what was served.
#[test]
fn stages_and_statuses_are_told_apart() {
    in_lab(|lab| async move {
        lab.fault("orders", json!({"kind": "errors", "status": 503}))
            .await;
        let (code, lines) = lab
            .load("--stages 50:1,200:1 --connections 8 --within-ms 1")
            .await;
        // 4: a busy machine made the generator late, which says nothing about what it counts.
        assert!(code == 0 || code == 4, "exit code {code}");
        let summary = lines.last().unwrap();
        let stages = summary["by_stage"].as_array().unwrap();
        let number = |value: &Value| value.as_u64().unwrap();
        let scheduled = stages
            .iter()
            .map(|one| number(&one["scheduled"]))
            .sum::<u64>();
        assert_eq!(scheduled, number(&summary["scheduled"]));
        assert_eq!(
            (stages[0]["offered"].as_f64(), stages[1]["offered"].as_f64()),
            (Some(50.0), Some(200.0))
        );
        assert!(number(&stages[1]["done"]) > 2 * number(&stages[0]["done"]));
        for one in stages.iter().chain([summary]) {
            assert_eq!(one["good"], 0, "no reply below 400");
            assert_eq!(one["replies"]["502"]["count"], one["done"]);
        }
        lab.stop().await;
    });
}

#[test]
fn a_hanging_weak_part_holds_the_naive_reply_for_every_attempt() {
    in_lab(|lab| async move {
        lab.fault("recommend", json!({"kind": "hang"})).await;
        let (_, lines) = lab
            .load("--rate 20 --seconds 0.2 --connections 8 --arrivals constant")
            .await;
        let summary = lines.last().unwrap();
        assert_eq!(summary["done"], 4, "{summary}");
        assert_eq!(summary["degraded"], 4);
        // Three attempts of 300 ms each, for a part nobody needs.
        assert!(summary["p50_ms"].as_f64().unwrap() >= 900.0, "{summary}");
        lab.stop().await;
    });
}

#[test]
fn a_service_that_does_not_answer_times_out_in_the_figures() {
    in_lab(|lab| async move {
        lab.fault("orders", json!({"kind": "hang"})).await;
        let options =
            "--rate 40 --seconds 0.2 --connections 2 --arrivals constant --timeout-ms 100";
        let (_, lines) = lab.load(options).await;
        let summary = lines.last().unwrap();
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert_eq!((count("scheduled"), count("done")), (8, 0), "{summary}");
        assert_eq!(count("timed_out") + count("unsent"), 8, "{summary}");
        assert!(count("timed_out") >= 2 && count("errors") == 8, "{summary}");
        assert!(summary["p50_ms"].as_f64().unwrap() >= 100.0, "{summary}");
        lab.stop().await;
    });
}

#[test]
fn each_fault_looks_on_the_wire_as_it_says() {
    in_lab(|lab| async move {
        let get = || ask(&lab.orders, "GET", "/orders/o-9", "");
        let good = get().await;
        let (head, body) = good.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(
            serde_json::from_str::<Value>(body).unwrap()["user_id"],
            "u-o-9"
        );

        lab.fault("orders", json!({"kind": "reset"})).await;
        assert_eq!(get().await, "");
        lab.fault("orders", json!({"kind": "short_body"})).await;
        let short = get().await;
        assert!(short.starts_with(head) && short.len() < good.len() && good.starts_with(&short));
        lab.fault(
            "orders",
            json!({"kind": "slow_body", "chunk_bytes": 300, "every_ms": 1}),
        )
        .await;
        assert_eq!(get().await, good);
        lab.fault("orders", json!({"kind": "garbage"})).await;
        let garbage = get().await;
        let garbage = garbage.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(garbage.len(), body.len());
        assert!(serde_json::from_str::<Value>(garbage).is_err());
        lab.fault("orders", json!({"kind": "wrong_type"})).await;
        let (status, wrong) = ask_json(&lab.orders, "GET", "/orders/o-9", "").await;
        assert_eq!(
            (status, wrong["id"].is_number(), wrong["items"].is_object()),
            (200, true, true)
        );
        lab.fault("orders", json!({"kind": "wrong_content_type"}))
            .await;
        assert!(get().await.contains("content-type: text/html"));
        lab.fault("orders", json!({"kind": "extra_bytes"})).await;
        assert!(get().await.len() > good.len());
        lab.fault("orders", json!({"kind": "both_framing_headers"}))
            .await;
        let both = get().await;
        assert!(both.contains("content-length: ") && both.contains("transfer-encoding: chunked"));
        lab.fault("orders", json!({"kind": "oversized", "mib": 1}))
            .await;
        assert!(get().await.len() > 1024 * 1024);
        lab.fault("orders", Value::Null).await;
        assert_eq!(get().await, good);
        assert!(ask(&lab.orders, "GET", "/orders/missing-1", "")
            .await
            .contains(" 404 "));
        assert!(ask(&lab.orders, "GET", "/nothing", "")
            .await
            .contains(" 404 "));
        lab.stop().await;
    });
}

#[test]
fn a_taken_port_says_which_and_what_to_do() {
    in_lab(|lab| async move {
        let port = lab.orders.rsplit_once(':').unwrap().1;
        let (code, _) = Verb::start(&format!("upstreams --port-base {port}"))
            .end()
            .await;
        let message = code.unwrap_err();
        assert!(
            message.starts_with(&format!("port {port} is in use")),
            "{message}"
        );
        assert!(message.contains("--port-base"), "{message}");
        lab.stop().await;
    });
}

#[test]
fn idle_connections_are_held_after_one_request_each() {
    in_lab(|lab| async move {
        let before = lab.requests(0).await;
        let options = "--idle-connections 100 --hold-seconds 0";
        let url = format!("http://{}/orders/{{id}}", lab.orders);
        let (code, lines) = Verb::start(&format!("load --url {url} {options}"))
            .end()
            .await;
        assert_eq!(code, Ok(0));
        assert_eq!(lines, [json!({"type": "held", "connections": 100})]);
        assert_eq!(lab.requests(0).await - before, 100);
        lab.stop().await;
    });
}

#[test]
fn a_connection_that_breaks_costs_its_own_request_only() {
    in_lab(|lab| async move {
        lab.fault("orders", json!({"kind": "reset", "probability": 0.5}))
            .await;
        let url = format!("http://{}/orders/{{id}}", lab.orders);
        let options = "--rate 400 --seconds 0.3 --warmup 0 --connections 4";
        let (_, lines) = Verb::start(&format!("load --url {url} {options}"))
            .end()
            .await;
        let summary = lines.last().unwrap();
        let count = |name: &str| summary[name].as_u64().unwrap();
        assert!(count("failed") > 10 && count("done") > 10, "{summary}");
        assert_eq!((count("timed_out"), count("unsent")), (0, 0), "{summary}");
        assert_eq!(
            count("scheduled"),
            count("done") + count("failed"),
            "{summary}"
        );
        lab.stop().await;
    });
}
