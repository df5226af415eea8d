//! Any request with another model's name: nothing else is changed, but for the wish for usage.
#![no_main]

use bytes::Bytes;
use dialect::{AskUsage, Edits, Endpoint, HideUsage, peek, splice};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vocab::{Dialect, UpstreamModel};

fuzz_target!(|body: &[u8]| {
    let Ok(head) = peek(Dialect::Openai, Endpoint::ChatCompletions, body) else { return };
    let model = UpstreamModel::new("up\"stream\\").expect("this is a name");
    let spliced = splice(&Bytes::copy_from_slice(body), &head, &Edits { model: &model, usage: AskUsage::Always });
    let (length, hide) = (spliced.len(), spliced.hide_usage());
    let after: Vec<u8> = spliced.into_segments().flatten().collect();
    assert_eq!(after.len(), length);

    let read = peek(Dialect::Openai, Endpoint::ChatCompletions, &after).expect("it was a request before");
    assert_eq!(read.model(), model.as_str());
    assert_eq!(read.is_streamed(), head.is_streamed());
    assert_eq!(read.output_tokens_max(), head.output_tokens_max());
    assert_eq!(read.asks_usage(), head.asks_usage() || head.is_streamed());
    assert_eq!(hide == HideUsage::Yes, head.is_streamed() && !head.asks_usage());

    let (Ok(mut before), Ok(mut after)) =
        (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Value>(&after))
    else {
        return;
    };
    for value in [&mut before, &mut after] {
        let fields = value.as_object_mut().expect("a request is an object");
        fields.remove("model");
        if let Some(Value::Object(options)) = fields.get_mut("stream_options") {
            options.remove("include_usage");
        }
        fields.retain(|name, value| {
            name != "stream_options" || !(value.is_null() || *value == Value::Object(Default::default()))
        });
    }
    assert_eq!(before, after);
});
