use super::*;
use serde_json::json;

#[test]
fn the_examples_of_the_standard_come_out_as_printed() {
    for (target, change, expected) in [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
        (json!({"a": "b"}), json!(["c"]), json!(["c"])),
        (json!({"a": "foo"}), json!(null), json!(null)),
        (json!({"a": "foo"}), json!("bar"), json!("bar")),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ] {
        assert_eq!(patch(&target, &change), expected, "{target} with {change}");
    }
}

#[test]
fn another_way_to_give_a_secret_replaces_the_one_there_is() {
    let provider = json!({"kind": "Provider", "credential": {"sealed": "AAAA"}});
    for given in [json!({"value": "sk"}), json!({"env": "KEY"}), json!({"file": "/f"}), json!({"sealed": true})] {
        let patched = patch(&provider, &json!({"credential": given}));
        assert_eq!(patched["credential"], given);
    }
    assert_eq!(patch(&provider, &json!({"dialect": "openai"}))["credential"], json!({"sealed": "AAAA"}));

    let key = json!({"kind": "Key", "id": "x", "sha256": "00", "previous": {"sha256": "11", "until": "then"}});
    assert_eq!(patch(&key, &json!({"secret": "sk"})), json!({"kind": "Key", "id": "x", "secret": "sk"}));
    assert_eq!(patch(&key, &json!({"sha256": "22"})), json!({"kind": "Key", "id": "x", "sha256": "22"}));
    let disabled = patch(&key, &json!({"disabled": true}));
    assert_eq!(disabled["sha256"], key["sha256"]);
    assert_eq!(disabled["previous"], key["previous"]);
}

#[test]
fn only_a_keys_previous_secret_can_be_named_to_be_dropped() {
    let key = json!({"kind": "Key", "sha256": "00", "previous": {"sha256": "11", "until": "then"}});
    assert_eq!(patch(&key, &json!({"previous": null}))["previous"], Value::Null);
    assert!(patch(&key, &json!({"previous": null})).as_object().unwrap().contains_key("previous"));
    assert_eq!(patch(&json!({"kind": "Team"}), &json!({"previous": null})), json!({"kind": "Team"}));
    let sooner = patch(&key, &json!({"previous": {"until": "now"}}));
    assert_eq!(sooner["previous"], json!({"sha256": "11", "until": "now"}));
}
