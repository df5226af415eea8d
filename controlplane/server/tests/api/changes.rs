//! One resource at a time, and only if it is what it was thought to be.

use crate::house::{DOCUMENTS, House};

#[tokio::test]
async fn put_creates_replaces_and_says_which() {
    let house = House::start().await;
    let created = house.call("PUT", "/v1/teams/a", r#"{"description": "one"}"#).await.is(201);
    assert_eq!((created.etag(), created.json()["name"].clone()), ("\"1\"".into(), "a".into()));
    let replaced = house.call("PUT", "/v1/teams/a", "kind: Team\nname: a\ndescription: two\n").await.is(200);
    assert_eq!((replaced.etag(), replaced.json()["description"].clone()), ("\"2\"".into(), "two".into()));
    let unchanged = house.call("PUT", "/v1/teams/a", "description: two").await.is(200);
    assert_eq!(unchanged.etag(), "\"2\"");
    for wrong in ["{\"name\": \"b\"}", "kind: User", "[]", "a: b: c", "null", "- 1", "", "name: a\n---\nname: a"] {
        assert_eq!(house.call("PUT", "/v1/teams/a", wrong).await.is(400).code(), "invalid_documents", "{wrong}");
    }
    let read = house.get("/v1/teams/a").await.is(200);
    assert_eq!((read.etag(), read.json()["revision"].clone()), ("\"2\"".into(), 2.into()));
    // What a GET answers can be put back.
    assert_eq!(house.call("PUT", "/v1/teams/a", read.text).await.is(200).etag(), "\"2\"");
}

#[tokio::test]
async fn names_with_slashes_work_either_way() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let target = r#"{"targets": [{"provider": "mock", "model": "x"}]}"#;
    house.call("PUT", "/v1/models/vendor%2Fgpt:free", target).await.is(201);
    for path in ["/v1/models/vendor/gpt:free", "/v1/models/vendor%2fgpt%3Afree"] {
        assert_eq!(house.get(path).await.is(200).json()["name"], "vendor/gpt:free");
    }
    house.call("DELETE", "/v1/models/vendor/gpt:free", "").await.is(204);
    house.get("/v1/models/vendor/gpt:free").await.is(404);
}

#[tokio::test]
async fn patch_changes_what_it_names_and_keeps_the_rest() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    let patched =
        house.call("PATCH", "/v1/keys/bench", r#"{"metadata": {"env": "test"}, "expires": null}"#).await.is(200).json();
    assert_eq!(patched["metadata"]["env"], "test");
    assert!(patched.get("expires").is_none());
    assert_eq!(patched["sha256"], trust::hash_key("sk-bench-key").to_string());
    let patched = house.call("PATCH", "/v1/providers/mock", "timeouts: {idleMs: 5}").await.is(200).json();
    assert_eq!((&patched["timeouts"]["idleMs"], &patched["credential"]["sealed"]), (&5.into(), &true.into()));
    house.call("PATCH", "/v1/keys/none", "{}").await.is(404);
    house.call("PATCH", "/v1/keys/bench", r#"{"name": "other"}"#).await.is(400);
    house.call("PATCH", "/v1/keys/bench", r#"{"models": null}"#).await.is(400);
    house.call("PATCH", "/v1/keys/bench", "[]").await.is(400);
}

#[tokio::test]
async fn a_change_counts_only_on_top_of_what_was_seen() {
    let house = House::start().await;
    house.call("PUT", "/v1/teams/a", "description: one").await.is(201);
    house.call("PUT", "/v1/teams/b", "{}").await.is(201);
    let put =
        async |headers: &[(&str, &str)], text: &'static str| house.call_with("PUT", "/v1/teams/a", headers, text).await;
    assert_eq!(put(&[("if-match", "\"2\"")], "description: two").await.is(412).code(), "precondition_failed");
    assert_eq!(put(&[("if-match", "\"1\"")], "description: two").await.is(200).etag(), "\"3\"");
    put(&[("if-match", "\"9\", \"3\"")], "description: three").await.is(200);
    put(&[("if-match", "*")], "description: four").await.is(200);
    put(&[("if-none-match", "*")], "description: five").await.is(412);
    for bad in [("if-match", "3"), ("if-match", "W/\"3\""), ("if-match", ""), ("if-none-match", "\"3\"")] {
        put(&[bad], "description: six").await.is(400);
    }
    let missing = async |headers: &[(&str, &str)]| house.call_with("PUT", "/v1/teams/new", headers, "{}").await;
    missing(&[("if-match", "*")]).await.is(412);
    missing(&[("if-match", "\"1\"")]).await.is(412);
    missing(&[("if-none-match", "*")]).await.is(201);
    house.call_with("PATCH", "/v1/teams/a", &[("if-match", "\"1\"")], "description: x").await.is(412);
    house.call_with("DELETE", "/v1/teams/a", &[("if-match", "\"1\"")], "").await.is(412);
    assert_eq!(house.get("/v1/teams/a").await.json()["description"], "four");
    house.call_with("DELETE", "/v1/teams/a", &[("if-match", "\"5\"")], "").await.is(204);
}

#[tokio::test]
async fn a_dry_run_says_everything_and_changes_nothing() {
    let house = House::start().await;
    let rehearsed = house.call("POST", "/v1/apply?dryRun=true", DOCUMENTS).await.is(200).json();
    assert!(rehearsed["results"].as_array().unwrap().iter().all(|result| result["change"] == "created"));
    assert_eq!(house.revision().await, 0);
    house.apply(DOCUMENTS).await.is(200);
    let minted = house.call("POST", "/v1/keys?dryRun=true", r#"{"name": "m", "models": ["*"]}"#).await.is(201).json();
    assert!(minted.get("secret").is_none());
    house.call("PUT", "/v1/teams/x?dryRun=true", "{}").await.is(201);
    house.call("PATCH", "/v1/teams/search?dryRun=true", "description: x").await.is(200);
    house.call("POST", "/v1/keys/bench/rotate?dryRun=true", "").await.is(200);
    house.call("POST", "/v1/keys/bench/revoke?dryRun=true", "").await.is(200);
    house.call("DELETE", "/v1/keys/bench?dryRun=true", "").await.is(204);
    house.call("DELETE", "/v1/teams/search?dryRun=true", "").await.is(409);
    house.call("PUT", "/v1/teams/search?dryRun=maybe", "{}").await.is(400);
    assert_eq!(house.revision().await, 1);
    let key = house.get("/v1/keys/bench").await.is(200).json();
    assert_eq!(key["sha256"], trust::hash_key("sk-bench-key").to_string());
    assert!(key.get("disabled").is_none());
}

#[tokio::test]
async fn what_is_used_is_not_deleted_and_every_user_is_named() {
    let house = House::start().await;
    house.apply(DOCUMENTS).await.is(200);
    house.apply("kind: User\nname: ann\nteam: search").await.is(200);
    let refused = house.call("DELETE", "/v1/teams/search", "").await.is(409);
    assert_eq!(refused.code(), "conflict");
    let faults = refused.json()["error"]["faults"].to_string();
    assert!(faults.contains("Key/bench") && faults.contains("User/ann"), "{faults}");
    house.call("DELETE", "/v1/providers/mock", "").await.is(409);
    for path in ["/v1/keys/bench", "/v1/users/ann", "/v1/teams/search", "/v1/models/gpt-4o-mini", "/v1/providers/mock"]
    {
        house.call("DELETE", path, "").await.is(204);
        house.call("DELETE", path, "").await.is(404);
    }
    let resources = house.get("/v1/status").await.json()["resources"].clone();
    assert!(resources.as_object().unwrap().values().all(|count| *count == 0), "{resources}");
}

#[tokio::test]
async fn a_document_that_is_too_large_is_refused_and_harms_nobody() {
    let house = House::start().await;
    let ca = "x".repeat(2 << 20);
    let body = format!(r#"{{"dialect": "openai", "baseUrl": "http://a/v1", "ca": "{ca}"}}"#);
    let refused = house.call("PUT", "/v1/providers/p", body).await;
    assert!([400, 413].contains(&refused.status.as_u16()), "{}", refused.text);
    house.call("PUT", "/v1/teams/a", "{}").await.is(201);
}

#[tokio::test]
async fn a_hundred_writers_at_once_are_all_answered_and_all_counted() {
    let house = House::start().await;
    let writes = (0..100).map(|n| {
        let (address, path) = (house.server.listen.api, format!("/v1/teams/t{n}"));
        tokio::spawn(async move {
            let bearer = format!("Bearer {}", crate::house::ADMIN);
            crate::house::call(address, "PUT", &path, &[("authorization", &bearer)], "{}".into()).await.is(201).etag()
        })
    });
    let mut revisions = std::collections::BTreeSet::new();
    for write in writes.collect::<Vec<_>>() {
        revisions.insert(write.await.unwrap());
    }
    let status = house.get("/v1/status").await.json();
    assert_eq!(status["resources"]["teams"], 100);
    assert_eq!(status["revision"], revisions.len());
}
