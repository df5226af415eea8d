//! Legacy completions: goes on from the prompt.

use serde_json::{Value, json};
use vocab::Timestamp;

use super::reply::{Count, Letterhead, whole};
use super::tokens::{count, pieces};
use super::wish::{Cut, Wish};
use super::{DemoAnswer, bad};
use crate::fault::Fault;

pub(super) fn answer(asked: &Value, seed: u64, now: Timestamp) -> Result<DemoAnswer, Fault> {
    let wish = Wish::read(asked)?;
    let prompts: Vec<&str> = match asked.get("prompt") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) if !many.is_empty() && many.iter().all(Value::is_string) => {
            many.iter().filter_map(Value::as_str).collect()
        }
        _ => return Err(bad("prompt", "prompt is a string, or a list of strings.")),
    };
    let each = usize::try_from(wish.choices).unwrap_or(1);
    let cuts: Vec<Cut> = prompts
        .iter()
        .flat_map(|prompt| std::iter::repeat_n(prompt, each))
        .map(|prompt| wish.cut(&go_on(prompt)))
        .collect();
    let prompt = prompts.iter().map(|prompt| count(prompt)).sum();
    let count = Count { prompt, completion: cuts.iter().map(|cut| cut.tokens).sum() };
    let head = Letterhead::new("cmpl", "text_completion", &wish, seed, now);
    let draw = |index: usize, text: &str, finish: Option<&str>| json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish});
    if wish.streamed {
        let chunks = cuts.iter().enumerate().flat_map(|(index, cut)| {
            let said = pieces(&cut.text).into_iter().map(move |piece| draw(index, piece, None));
            said.chain(std::iter::once(draw(index, "", Some(cut.finish))))
        });
        return Ok(head.stream(&wish, chunks, count));
    }
    let choices: Vec<Value> =
        cuts.iter().enumerate().map(|(index, cut)| draw(index, &cut.text, Some(cut.finish))).collect();
    Ok(whole(&head.draw(&json!(choices), Some(count.draw()))))
}

fn go_on(prompt: &str) -> String {
    let last = prompt.split_whitespace().last().unwrap_or("nothing");
    format!(" … and so on from \"{last}\", said the demo model.")
}
