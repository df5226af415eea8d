//! What property tests feed on: JSON in any spelling, white space and order, damage, and chunks of any size.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::sample::select;
use proptest::strategy::Union;

/// A value as it is written.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "0", "-0.0", "{}", "[ ]", "\"\"", "\"model\"", "\"\\\"usage\""])
            .prop_map(String::from),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
        string(),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            (vec((space(), inner.clone(), space()), 0..6)).prop_map(|items| {
                let items: Vec<String> = items.into_iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
                format!("[{}]", items.join(","))
            }),
            vec((key(), inner), 0..6).prop_flat_map(object),
        ]
    })
}

/// The members in their order, with any white space between the tokens.
pub(crate) fn object(members: Vec<(String, String)>) -> impl Strategy<Value = String> {
    vec((space(), space(), space(), space()), members.len()).prop_map(move |spaces| {
        let members = members.iter().zip(spaces);
        let members: Vec<String> =
            members.map(|((key, value), (a, b, c, d))| format!("{a}{key}{b}:{c}{value}{d}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

pub(crate) fn space() -> impl Strategy<Value = &'static str> {
    select(vec!["", "", "", " ", "\n", "\t", "\r\n    ", "  "])
}

/// A key as it is written; often one that means something on the top level.
pub(crate) fn key() -> impl Strategy<Value = String> {
    let known = select(vec!["model", "stream", "usage", "stream_options", "include_usage", "messages", "error"]);
    prop_oneof![known.prop_flat_map(spelled), string()]
}

/// A string in its quotes, with escapes of every kind.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[ !#-\\[\\]-~]{0,40}",
        "[ !#-\\[\\]-~]{100,300}",
        "[\u{80}-\u{ff}\u{4e00}-\u{4eff}\u{1f600}-\u{1f64f}\u{7f}]{1,40}",
        "\\\\[\"\\\\/bfnrt]",
        "\\\\u[0-9a-cA-C][0-9a-fA-F]{3}",
        "\\\\u[dD][89abAB][0-9a-fA-F]{2}\\\\u[dD][c-fC-F][0-9a-fA-F]{2}",
    ];
    vec(part, 0..5).prop_map(|parts| format!("\"{}\"", parts.concat()))
}

/// ASCII text in quotes, some of it as escapes.
pub(crate) fn spelled(text: &'static str) -> impl Strategy<Value = String> {
    let plain =
        Union::new([Just(vec![false; text.len()]).boxed(), vec(proptest::bool::weighted(0.3), text.len()).boxed()]);
    plain.prop_map(move |escaped| {
        let letters = text.bytes().zip(escaped);
        let letters = letters.map(|(byte, escaped)| match escaped {
            true => format!("\\u{byte:04X}"),
            false => char::from(byte).to_string(),
        });
        format!("\"{}\"", letters.collect::<String>())
    })
}

/// Cuts `bytes` into chunks of these sizes, again and again.
pub(crate) fn chunked<'b>(bytes: &'b [u8], sizes: &[usize]) -> Vec<&'b [u8]> {
    let (mut rest, mut chunks) = (bytes, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(rest.len().min(*size));
        chunks.push(chunk);
        rest = behind;
    }
    chunks
}

/// Small damage: what a fuzzer would do first.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Cut(usize),
    Drop(usize),
    Put(usize, u8),
    Swap(usize, u8),
    Repeat(usize, usize),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![
        select(b"{}[]:,\"\\ue-+.0 \n\x00\x1f\x7f\x80\xc3\xed\xa0\xf4\xff/dD8".to_vec()),
        proptest::num::u8::ANY
    ];
    let at = 0..usize::MAX;
    prop_oneof![
        at.clone().prop_map(Damage::Cut),
        at.clone().prop_map(Damage::Drop),
        (at.clone(), byte).prop_flat_map(|(at, byte)| select(vec![Damage::Put(at, byte), Damage::Swap(at, byte)])),
        (at, 1..12usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    pub(crate) fn done_to(&self, text: &mut Vec<u8>) {
        let n = text.len().max(1);
        match *self {
            Damage::Cut(at) => text.truncate(at % n),
            Damage::Drop(at) if at % n < text.len() => drop(text.remove(at % n)),
            Damage::Put(at, byte) => text.insert((at % n).min(text.len()), byte),
            Damage::Swap(at, byte) => text.iter_mut().skip(at % n).take(1).for_each(|slot| *slot = byte),
            Damage::Repeat(at, length) => {
                let part: Vec<u8> = text.iter().skip(at % n).take(length).copied().collect();
                text.splice(at % n..at % n, part);
            }
            Damage::Drop(_) => {}
        }
    }
}
