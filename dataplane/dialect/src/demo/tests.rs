use proptest::collection::vec;
use proptest::prelude::proptest;
use serde_json::json;
use vocab::Dialect;

use super::*;
use crate::testing::{damage, value};
use crate::{HideUsage, StreamObserver, read_usage};

const NOW_S: u64 = 1_790_000_000;

fn now() -> Timestamp {
    Timestamp::from_ms(NOW_S * 1000 + 999)
}

fn ask(endpoint: Endpoint, body: &Value) -> DemoAnswer {
    answer(endpoint, body.to_string().as_bytes(), 7, now()).unwrap()
}

fn whole_of(endpoint: Endpoint, body: &Value) -> Value {
    match ask(endpoint, body) {
        DemoAnswer::Whole(bytes) => serde_json::from_slice(&bytes).unwrap(),
        DemoAnswer::Events(events) => panic!("{events:?}"),
    }
}

fn chat(body: Value) -> Value {
    whole_of(Endpoint::ChatCompletions, &with_model(body))
}

/// The chunks of a stream that ends as streams end.
fn stream(endpoint: Endpoint, body: Value) -> Vec<Value> {
    let DemoAnswer::Events(mut events) = ask(endpoint, &with_model(body)) else { panic!("not a stream") };
    assert_eq!(events.pop().unwrap(), "data: [DONE]\n\n");
    let data =
        |event: &Bytes| event.strip_prefix(b"data: ").and_then(|event| event.strip_suffix(b"\n\n")).unwrap().to_vec();
    events.iter().map(|event| serde_json::from_slice(&data(event)).unwrap()).collect()
}

fn with_model(mut body: Value) -> Value {
    body["model"] = json!("demo");
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "user", "content": "How is the weather in Paris?"}]);
    }
    body
}

fn words(chunks: &[Value], index: u64) -> String {
    let of_index = chunks.iter().filter_map(|chunk| chunk["choices"].get(0)).filter(|choice| choice["index"] == index);
    of_index.filter_map(|choice| choice["delta"]["content"].as_str().or(choice["text"].as_str())).collect()
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]
    }}}, {"type": "function", "function": {"name": "get_time"}}])
}

#[test]
fn a_chat_is_answered_with_all_that_a_client_looks_for() {
    let body = json!({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hello, demo!"}]}]});
    let said = chat(body.clone());
    let text = said["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("\"Hello, demo!\"") && text.contains("demo model"), "{text}");
    let n = tokens::count(text);
    // "Be kind." is 3 tokens, "Hello, demo!" is 4, and each message has one for its role.
    assert_eq!(
        said,
        json!({
            "id": said["id"], "object": "chat.completion", "created": NOW_S, "model": "demo", "service_tier": "default",
            "system_fingerprint": "fp_turnpike_demo",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": n, "total_tokens": 9 + n,
                "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}
        })
    );
    assert_eq!(chat(body.clone()), said);
    let other = answer(Endpoint::ChatCompletions, with_model(body).to_string().as_bytes(), 8, now()).unwrap();
    let DemoAnswer::Whole(other) = other else { panic!("a stream") };
    assert_ne!(serde_json::from_slice::<Value>(&other).unwrap()["id"], said["id"]);
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let said = chat(json!({"n": 2}));
    let chunks = stream(Endpoint::ChatCompletions, json!({"n": 2, "stream": true}));
    for index in 0..2 {
        assert_eq!(
            words(&chunks, index),
            said["choices"][usize::try_from(index).unwrap()]["message"]["content"].as_str().unwrap()
        );
    }
    assert_ne!(words(&chunks, 0), words(&chunks, 1));
    assert_eq!(chunks[0]["choices"][0]["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()
        && chunk["system_fingerprint"].is_string()
        && chunk["id"] == chunks[0]["id"]));
    assert_eq!(chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count(), 2);
}

#[test]
fn a_stream_reports_usage_if_and_only_if_asked() {
    for endpoint in [Endpoint::ChatCompletions, Endpoint::Completions] {
        let body = json!({"prompt": "Say something.", "stream": true, "stream_options": {"include_usage": true}});
        let chunks = stream(endpoint, body);
        let (last, rest) = chunks.split_last().unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"]["completion_tokens"], tokens::count(&words(&chunks, 0)));
        assert!(rest.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
        assert!(
            stream(endpoint, json!({"prompt": "Say.", "stream": true}))
                .iter()
                .all(|chunk| chunk.get("usage").is_none())
        );
    }
}

#[test]
fn what_the_demo_streams_our_own_observer_understands() {
    let body = with_model(json!({"stream": true, "stream_options": {"include_usage": true}}));
    let DemoAnswer::Events(events) = ask(Endpoint::ChatCompletions, &body) else { panic!("not a stream") };
    let mut observer = StreamObserver::new(Dialect::Openai, Endpoint::ChatCompletions, HideUsage::Yes);
    let mut out: Vec<Bytes> = Vec::new();
    events.iter().for_each(|event| observer.feed(event.clone(), &mut out));
    let observed = observer.finish();
    let whole = json(&chat(json!({})));
    assert_eq!(observed.usage, read_usage(Dialect::Openai, Endpoint::ChatCompletions, &whole));
    assert!(observed.usage.is_some() && observed.done && observed.finished && !observed.error);
    assert_eq!(out.len() + 1, events.len());
}

#[test]
fn an_answer_ends_at_its_ceiling_and_at_its_stop() {
    for field in ["max_tokens", "max_completion_tokens"] {
        let said = chat(json!({field: 3}));
        assert_eq!(said["choices"][0]["message"]["content"], "You said:");
        assert_eq!(
            (&said["choices"][0]["finish_reason"], &said["usage"]["completion_tokens"]),
            (&json!("length"), &json!(3))
        );
    }
    for stop in [json!(" said"), json!(["nowhere", " said", ":"])] {
        let said = chat(json!({"stop": stop, "max_tokens": 100}));
        assert_eq!(
            (&said["choices"][0]["message"]["content"], &said["choices"][0]["finish_reason"]),
            (&json!("You"), &json!("stop"))
        );
    }
}

#[test]
fn a_tool_is_called_when_it_is_named_or_demanded() {
    let named = json!([{"role": "user", "content": "Please get_weather for Paris, 3 days."}]);
    for body in [
        json!({"messages": named, "tools": weather()}),
        json!({"messages": named, "tools": weather(), "tool_choice": "required"}),
        json!({"messages": [{"role": "user", "content": "So, how is Paris, in 3 days?"}], "tools": weather(), "tool_choice": "required"}),
        json!({"messages": named, "tools": weather(), "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}),
    ] {
        let said = chat(body);
        let choice = &said["choices"][0];
        assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
        let call = &choice["message"]["tool_calls"][0];
        assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("get_weather")));
        assert!(call["id"].as_str().unwrap().starts_with("call_"));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, json!({"city": "Paris", "days": 3}));
    }
    for body in [json!({"tools": weather()}), json!({"messages": named, "tools": weather(), "tool_choice": "none"})] {
        assert_eq!(chat(body)["choices"][0]["finish_reason"], "stop");
    }
}

#[test]
fn several_tools_are_called_at_once_unless_the_caller_wants_one() {
    let messages = json!([{"role": "user", "content": "Call get_time and get_weather."}]);
    let calls = |body| chat(body)["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    let both = calls(json!({"messages": messages, "tools": weather()}));
    assert_eq!((both.len(), &both[1]["function"]["arguments"]), (2, &json!("{}")));
    assert_ne!(both[0]["id"], both[1]["id"]);
    assert_eq!(calls(json!({"messages": messages, "tools": weather(), "parallel_tool_calls": false})).len(), 1);
}

#[test]
fn a_streamed_call_comes_in_parts_that_make_the_whole_one() {
    let body = json!({"tools": weather(), "tool_choice": "required"});
    let call = chat(body.clone())["choices"][0]["message"]["tool_calls"][0].clone();
    let mut streamed = body;
    streamed["stream"] = json!(true);
    let chunks = stream(Endpoint::ChatCompletions, streamed);
    let parts: Vec<&Value> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    assert_eq!(
        (&parts[0]["id"], &parts[0]["function"]["name"], &parts[0]["index"]),
        (&call["id"], &call["function"]["name"], &json!(0))
    );
    let arguments: String = parts.iter().filter_map(|part| part["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, call["function"]["arguments"].as_str().unwrap());
    assert!(4 < parts.len());
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn the_result_of_a_tool_is_quoted_and_not_asked_for_again() {
    let messages = json!([
        {"role": "user", "content": "get_weather in Paris"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "18 degrees"},
    ]);
    let said = chat(json!({"messages": messages, "tools": weather(), "tool_choice": "required"}));
    assert!(said["choices"][0]["message"]["content"].as_str().unwrap().starts_with("The tool says: \"18 degrees\"."));
}

#[test]
fn json_is_answered_where_json_is_asked_for() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}}, "required": ["city", "warm"]});
    for (format, keys) in [
        (json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}), ["city", "warm"]),
        (json!({"type": "json_object"}), ["answer", "demo"]),
    ] {
        let said = chat(json!({"response_format": format}));
        let content: Value = serde_json::from_str(said["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(content.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    }
}

#[test]
fn the_older_completions_take_texts_and_tokens() {
    let said = whole_of(
        Endpoint::Completions,
        &json!({"model": "demo", "prompt": ["One.", "Two."], "n": 2, "echo": true, "max_tokens": 4}),
    );
    let texts: Vec<&str> =
        said["choices"].as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["One.You said: \"", "One.You said: \"", "Two.You said: \"", "Two.You said: \""]);
    assert_eq!(said["choices"][3]["index"], 3);
    assert_eq!((&said["object"], &said["usage"]["prompt_tokens"]), (&json!("text_completion"), &json!(4)));
    for (prompt, tokens) in [(json!([1, 2, 3]), 3), (json!([[1], [2, 3]]), 3), (json!("a b"), 2)] {
        let said = whole_of(Endpoint::Completions, &json!({"model": "demo", "prompt": prompt}));
        assert_eq!(said["usage"]["prompt_tokens"], tokens);
    }
}

fn embed(body: Value) -> Value {
    whole_of(Endpoint::Embeddings, &with_model(body))
}

fn vector_of(row: &Value) -> Vec<f64> {
    row["embedding"].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn embeddings_are_of_length_one_and_lie_where_their_words_lie() {
    let said = embed(json!({"input": ["The weather in Paris", "weather, the Paris in!", "a poem about cats", "--"]}));
    let vectors: Vec<Vec<f64>> = said["data"].as_array().unwrap().iter().map(vector_of).collect();
    let dot = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f64>();
    for (n, vector) in vectors.iter().enumerate() {
        assert_eq!(vector.len(), 256);
        assert!((dot(n, n) - 1.0).abs() < 1e-5);
    }
    assert!(0.999 < dot(0, 1) && dot(0, 2) < 0.6, "{} {}", dot(0, 1), dot(0, 2));
    assert_eq!(
        (&said["object"], &said["data"][3]["index"], &said["usage"]),
        (&json!("list"), &json!(3), &json!({"prompt_tokens": 16, "total_tokens": 16}))
    );
}

#[test]
fn embeddings_come_in_any_number_of_dimensions_and_in_base64() {
    let floats = embed(json!({"input": "Hello there", "dimensions": 5}));
    let encoded = embed(json!({"input": "Hello there", "dimensions": 5, "encoding_format": "base64"}));
    let text = encoded["data"][0]["embedding"].as_str().unwrap();
    assert_eq!(text.len(), 28);
    let bytes = unbase64(text);
    let numbers: Vec<f64> =
        bytes.chunks(4).map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect();
    let expected = vector_of(&floats["data"][0]);
    assert_eq!(numbers.len(), 5);
    assert!(numbers.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{numbers:?} {expected:?}");
    for input in [json!([1, 2, 3]), json!([[1, 2, 3]])] {
        assert_eq!(embed(json!({"input": input}))["usage"]["prompt_tokens"], 3);
    }
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |letter: u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits: String =
        text.bytes().filter(|letter| *letter != b'=').map(|letter| format!("{:06b}", digit(letter))).collect();
    bits.as_bytes()
        .chunks_exact(8)
        .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
        .collect()
}

#[test]
fn what_the_demo_cannot_answer_it_refuses_by_name() {
    for (endpoint, body, param, code) in [
        (Endpoint::ChatCompletions, json!({"model": "demo"}), "messages", "missing_required_parameter"),
        (Endpoint::ChatCompletions, json!({"model": "demo", "messages": "hi"}), "messages", "invalid_type"),
        (Endpoint::ChatCompletions, json!({"model": "demo", "messages": []}), "messages", "empty_array"),
        (Endpoint::ChatCompletions, json!({"model": "demo", "messages": ["hi"]}), "messages[0].role", "invalid_value"),
        (
            Endpoint::ChatCompletions,
            json!({"model": "demo", "messages": [{"role": "user"}]}),
            "messages[0].content",
            "invalid_type",
        ),
        (Endpoint::ChatCompletions, with_model(json!({"n": 5})), "n", "invalid_value"),
        (Endpoint::ChatCompletions, with_model(json!({"max_tokens": 0})), "max_tokens", "invalid_type"),
        (Endpoint::ChatCompletions, with_model(json!({"stop": 1})), "stop", "invalid_type"),
        (Endpoint::ChatCompletions, with_model(json!({"stop": ["", "", "", "", ""]})), "stop", "invalid_type"),
        (Endpoint::ChatCompletions, with_model(json!({"tools": [{}]})), "tools[0].function.name", "invalid_type"),
        (Endpoint::ChatCompletions, with_model(json!({"tool_choice": "required"})), "tool_choice", "invalid_value"),
        (Endpoint::ChatCompletions, with_model(json!({"tool_choice": "maybe"})), "tool_choice", "invalid_type"),
        (
            Endpoint::ChatCompletions,
            with_model(json!({"response_format": {"type": "xml"}})),
            "response_format.type",
            "invalid_type",
        ),
        (Endpoint::Completions, json!({"model": "demo"}), "prompt", "missing_required_parameter"),
        (Endpoint::Completions, json!({"model": "demo", "prompt": [1, "a"]}), "prompt", "invalid_type"),
        (Endpoint::Embeddings, json!({"model": "demo"}), "input", "missing_required_parameter"),
        (Endpoint::Embeddings, json!({"model": "demo", "input": ["a", ""]}), "input", "invalid_value"),
        (Endpoint::Embeddings, json!({"model": "demo", "input": {"a": 1}}), "input", "invalid_type"),
        (
            Endpoint::Embeddings,
            json!({"model": "demo", "input": "a", "dimensions": 5000}),
            "dimensions",
            "invalid_value",
        ),
        (
            Endpoint::Embeddings,
            json!({"model": "demo", "input": "a", "encoding_format": "int8"}),
            "encoding_format",
            "invalid_type",
        ),
    ] {
        let fault = answer(endpoint, body.to_string().as_bytes(), 7, now()).unwrap_err();
        assert_eq!(
            (fault.param.as_deref(), fault.code, fault.kind),
            (Some(param), code, FaultKind::InvalidRequest),
            "{body}"
        );
    }
    assert_eq!(answer(Endpoint::Embeddings, b"{", 7, now()).unwrap_err().code, "invalid_json");
    assert_eq!(answer(Endpoint::Embeddings, b"[]", 7, now()).unwrap_err().code, "missing_model");
}

proptest! {
    #[test]
    fn any_request_gets_an_answer_or_a_fault(tools in value(), schema in value(), hits in vec(damage(), 0..3)) {
        let body = format!(
            r#"{{"model":"demo","messages":[{{"role":"user","content":"do f"}}],"tools":[{{"function":{{"name":"f","parameters":{schema}}}}},{tools}],
                "response_format":{{"type":"json_schema","json_schema":{{"schema":{schema}}}}},"prompt":{tools},"input":{tools},"stream":true}}"#
        );
        let mut body = body.into_bytes();
        hits.iter().for_each(|hit| hit.done_to(&mut body));
        for endpoint in Endpoint::ALL {
            if let Err(fault) = answer(endpoint, &body, 1, now()) {
                assert!(!fault.message.is_empty());
            }
        }
    }
}
