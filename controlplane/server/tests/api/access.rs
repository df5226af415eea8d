//! Who may, and what is said to those who may not.

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{ADMIN, House, call};

#[tokio::test]
async fn without_the_token_every_path_but_the_description_is_unauthorized() {
    let house = House::start().await;
    let open = call(house.server.listen.api, "GET", "/openapi.json", &[], Bytes::new()).await.is(200).json();
    let mut tried = 0;
    for (path, item) in open["paths"].as_object().unwrap() {
        for method in ["get", "put", "post", "patch", "delete"] {
            if path == "/openapi.json" && method == "get" {
                continue;
            }
            let path = path.replace("{name}", "x");
            for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Basic x")]] {
                let reply =
                    call(house.server.listen.api, &method.to_ascii_uppercase(), &path, headers, Bytes::new()).await;
                assert_eq!(reply.status, 401, "{method} {path}");
                assert_eq!(reply.headers["www-authenticate"], "Bearer");
                tried += 1;
            }
            assert!(item.is_object());
        }
    }
    assert!(tried > 100);
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/../v1/keys", "/v1/%6beys", "//v1/keys", "/", "/V1/keys"] {
        call(house.server.listen.api, "GET", path, &[], Bytes::new()).await.is(401);
    }
}

#[tokio::test]
async fn two_tokens_are_none() {
    let house = House::start().await;
    let bearer = format!("Bearer {ADMIN}");
    house.call_with("GET", "/v1/status", &[("authorization", &bearer)], "").await.is(401);
}

#[tokio::test]
async fn with_the_token_what_is_not_there_is_not_found() {
    let house = House::start().await;
    for path in ["/v1", "/v1/nothing", "/v1/%6beys", "/nothing", "/v1/keys/none", "/v1/models/a%2Fb"] {
        assert_eq!(house.get(path).await.is(404).code(), "not_found", "{path}");
    }
    let reply = house.call("POST", "/v1/teams/a", "").await.is(405);
    assert_eq!(reply.headers["allow"], "GET, PUT, PATCH, DELETE");
    house.get("/v1/models/%ff").await.is(400);
    assert_eq!(house.call("PUT", "/v1/teams/a?dryrun=true", "{}").await.is(400).code(), "bad_request");
    assert_eq!(house.revision().await, 0);
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_not_read() {
    let house = House::start().await;
    let mut stream = TcpStream::connect(house.server.listen.api).await.unwrap();
    let head = format!(
        "POST /v1/apply HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\ncontent-length: {}\r\n\r\n",
        65 << 20
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let house = House::start().await;
    for head in [
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(100 << 10)),
        format!("GET /v1/status HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(500)),
    ] {
        let mut stream = TcpStream::connect(house.server.listen.api).await.unwrap();
        // It may hang up before it has read everything.
        _ = stream.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 64];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer[..read]));
    }
}

#[tokio::test]
async fn machines_are_told_without_a_token() {
    let house = House::start().await;
    house.get("/v1/keys/none").await.is(404);
    house.get("/v1/status").await.is(200);
    let ops = house.server.listen.ops;
    for path in ["/livez", "/readyz"] {
        call(ops, "GET", path, &[], Bytes::new()).await.is(200);
    }
    let metrics = call(ops, "GET", "/metrics", &[], Bytes::new()).await.is(200).text;
    for line in [
        "turnpike_controlplane_ready 1",
        "turnpike_controlplane_store_up 1",
        "turnpike_controlplane_config_revision 0",
        "turnpike_controlplane_api_requests_total{method=\"GET\",route=\"/v1/keys/{name}\",status=\"404\"} 1",
        "turnpike_controlplane_api_requests_total{method=\"GET\",route=\"/v1/status\",status=\"200\"} 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn the_status_says_what_runs() {
    let house = House::start().await;
    let status = house.get("/v1/status").await.is(200).json();
    assert_eq!((&status["store"]["kind"], &status["store"]["up"]), (&Value::from("embedded"), &Value::from(true)));
    assert!(!status["store"]["id"].as_str().unwrap().is_empty());
    assert_eq!(status["proxies"]["connected"], 0);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}
