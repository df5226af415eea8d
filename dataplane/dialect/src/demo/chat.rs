//! Chat: says what it heard, calls a tool when it is wished, and speaks JSON when asked to.

use serde_json::{Value, json};
use vocab::{RequestId, Timestamp};

use super::reply::{Choice, Count, Letterhead, Said, whole};
use super::tokens::count;
use super::wish::{Wish, count_message, text_of};
use super::{DemoAnswer, bad, sample};
use crate::fault::Fault;

/// The answer itself is primed with a few tokens, as real ones are.
const PRIMING: usize = 3;

pub(super) fn answer(asked: &Value, seed: u64, now: Timestamp) -> Result<DemoAnswer, Fault> {
    let wish = Wish::read(asked)?;
    let messages = asked.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| bad("messages", "messages is a list with at least one message in it."))?;
    for (at, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Value::as_str).is_none() {
            return Err(bad(&format!("messages[{at}].role"), "Every message says its role."));
        }
    }
    let tools = asked.get("tools").filter(|tools| !tools.is_null());
    let prompt = messages.iter().map(count_message).sum::<usize>()
        + PRIMING
        + tools.map_or(0, |tools| count(&tools.to_string()));
    let choices: Vec<(Choice, usize)> =
        (0..wish.choices).map(|nth| choose(asked, messages, &wish, seed.wrapping_add(nth))).collect();
    let count = Count { prompt, completion: choices.iter().map(|(_, tokens)| tokens).sum() };
    let choices = choices.iter().map(|(choice, _)| choice).enumerate();
    if wish.streamed {
        let head = Letterhead::new("chatcmpl", "chat.completion.chunk", &wish, seed, now);
        let chunks = choices.flat_map(|(index, choice)| choice.deltas(index));
        return Ok(head.stream(&wish, chunks, count));
    }
    let head = Letterhead::new("chatcmpl", "chat.completion", &wish, seed, now);
    let choices: Vec<Value> = choices.map(|(index, choice)| choice.message(index)).collect();
    Ok(whole(&head.draw(&json!(choices), Some(count.draw()))))
}

fn choose(asked: &Value, messages: &[Value], wish: &Wish, seed: u64) -> (Choice, usize) {
    let last_user = messages.iter().rev().find(|message| message.get("role") == Some(&json!("user")));
    let heard = last_user.map(text_of).unwrap_or_default();
    let is_told = messages.last().is_some_and(|message| message.get("role") == Some(&json!("tool")));
    if !is_told && let Some(function) = wanted_tool(asked, &heard) {
        return call(function, &heard, seed);
    }
    let text = if is_told {
        format!("The tool answered: {}", messages.last().map(text_of).unwrap_or_default())
    } else {
        structured(asked, &heard).unwrap_or_else(|| say(&heard))
    };
    let cut = wish.cut(&text);
    (Choice { said: Said::Text(cut.text), finish: cut.finish }, cut.tokens)
}

fn say(heard: &str) -> String {
    if heard.is_empty() {
        return "Hello! This is the demo model of your gateway. It needs no account and knows nothing.".to_owned();
    }
    format!(
        "You said: \"{heard}\". This is the demo model of your gateway: it needs no account, answers the same every \
         time, and counts its tokens. Add a provider to talk to a real one."
    )
}

/// The function that is forced, or that the caller speaks of.
fn wanted_tool<'a>(asked: &'a Value, heard: &str) -> Option<&'a Value> {
    let functions = || asked.get("tools")?.as_array().map(|tools| tools.iter().filter_map(|tool| tool.get("function")));
    let name_of = |function: &Value| function.get("name").and_then(Value::as_str).map(str::to_lowercase);
    match asked.get("tool_choice") {
        Some(Value::String(choice)) if choice == "none" => None,
        Some(Value::String(choice)) if choice == "required" => functions()?.next(),
        Some(Value::Object(choice)) => {
            let name = choice.get("function")?.get("name")?;
            functions()?.find(|function| function.get("name") == Some(name))
        }
        _ => {
            let heard = heard.to_lowercase();
            functions()?.find(|function| {
                name_of(function).is_some_and(|name| heard.contains(&name) || heard.contains(&name.replace('_', " ")))
            })
        }
    }
}

fn call(function: &Value, heard: &str, seed: u64) -> (Choice, usize) {
    let name = function.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let arguments = sample::of(function.get("parameters").unwrap_or(&Value::Null), heard);
    let arguments = if arguments.is_object() { arguments.to_string() } else { "{}".to_owned() };
    let tokens = count(&name) + count(&arguments);
    let said = Said::Call { id: format!("call_{}", RequestId(seed)), name, arguments };
    (Choice { said, finish: "tool_calls" }, tokens)
}

fn structured(asked: &Value, heard: &str) -> Option<String> {
    let format = asked.get("response_format")?;
    match format.get("type")?.as_str()? {
        "json_schema" => Some(sample::of(format.get("json_schema")?.get("schema")?, heard).to_string()),
        "json_object" => Some(json!({"answer": say(heard)}).to_string()),
        _ => None,
    }
}
