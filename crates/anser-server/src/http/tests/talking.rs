//! Routes of conversations without a core, the rules of parameters, and the reference.

use super::*;

#[tokio::test]
async fn a_core_that_is_away_is_told_of_with_a_hint() {
    let api = Api::open();
    let token = api.register("alice").await.field("access_token");
    let text = json!({"kind": "text", "text": "hi"});
    let body = json!({"client_id": "018f3c1e-7b2a-7c3d-8e4f-0123456789ab", "message": text});
    let answer = api.post("/api/v1/conversations/with-7/messages", &token, body).await;
    answer.must_refuse(503, "unavailable", "nobody is there");
    assert_eq!(answer.headers["retry-after"], "1");
    api.get("/api/v1/conversations", &token).await.must_refuse(503, "unavailable", "");
    api.post("/api/v1/sync", &token, json!({})).await.must_refuse(503, "unavailable", "");
}

#[tokio::test]
async fn parameters_that_nobody_reads_are_named() {
    let api = Api::open();
    let token = api.register("alice").await.field("access_token");
    api.get("/api/v1/devices?all=1", &token).await.must_refuse(400, "bad_value", "takes none");
    let path = "/api/v1/conversations?limit=0";
    api.get(path, &token).await.must_refuse(400, "bad_value", "between 1 and 200");
    api.get("/api/v1/conversations/x", &token).await.must_refuse(400, "bad_value", "32 hexadecimal digits");
}

#[tokio::test]
async fn the_reference_comes_from_here_alone() {
    let api = Api::open();
    for (path, kind) in [
        ("/api/", "text/html; charset=utf-8"),
        ("/api/reference.js", "text/javascript; charset=utf-8"),
        ("/api/reference.css", "text/css; charset=utf-8"),
    ] {
        let answer = api.get(path, "").await;
        assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (200, kind));
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
    assert_eq!(api.get("/api", "").await.headers["location"], "/api/");
    let document = api.get("/api/v1/openapi.json", "").await;
    assert_eq!(document.must_be(200).json(), serde_json::from_str::<Value>(&openapi()).unwrap());
}
