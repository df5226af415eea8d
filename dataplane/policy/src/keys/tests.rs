//! What a key's row may cost, and that it forgets nothing.

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<wire::Pair> {
    pairs.iter().map(|(name, value)| wire::Pair { name: (*name).into(), value: (*value).into() }).collect()
}

fn policy() -> Arc<Policy> {
    let body = wire::Policy { models: vec!["*".into()], ..Default::default() };
    Arc::new(Policy::read(&wire::resource(vocab::Kind::Policy, 7u64.to_be_bytes().to_vec(), &body)).unwrap())
}

#[test]
fn a_row_fits_its_budget() {
    // 128 bytes a key, of which runs, branches and a short note on the key take up to 48.
    assert!(size_of::<Hashed<Key>>() <= 80, "{}", size_of::<Hashed<Key>>());
}

#[test]
fn metadata_is_given_back_as_it_came() {
    for list in [&[][..], &[("env", "prod")], &[("", "")], &[("a:1", "3:b"), ("é", "漢字"), ("a:1", "\0")]] {
        let metadata = Metadata::new(&pairs(list));
        assert_eq!(metadata.iter().collect::<Vec<_>>(), list);
    }
    assert_eq!(Metadata::new(&pairs(&[("a", "1"), ("b", "2")])).get("b"), Some("2"));
    assert_eq!(Metadata::default().get("b"), None);
}

#[test]
fn the_bytes_of_a_key_are_made_again_from_its_row_or_kept() {
    let plain =
        wire::Key { id: 1, policy: 7, expires_ms: u64::MAX, disabled: true, metadata: pairs(&[("env", "prod")]) };
    let plain = plain.encode_to_vec();
    let newer = [&plain[..], &[0x7a, 1, b'x']].concat();
    let mut keys = Keys::empty();
    for (n, body, odd) in [(1, &plain, 0), (2, &newer, 1), (1, &newer, 2), (2, &plain, 1)] {
        let hash = KeyHash([n; 32]);
        keys.put(hash, Key::read(body, |_| Some(policy())).unwrap(), body);
        assert_eq!(keys.body(&hash).as_deref(), Some(&body[..]));
        assert_eq!(keys.odd.len(), odd);
    }
    keys.take(&KeyHash([1; 32]));
    assert_eq!(keys.odd.len(), 0);
    assert_eq!(keys.body(&KeyHash([1; 32])), None);
    assert_eq!(keys.bodies().count(), 1);
}

#[test]
fn a_key_without_rights_is_no_key() {
    let body = wire::Key { id: 1, policy: 7, ..Default::default() }.encode_to_vec();
    assert!(matches!(Key::read(&body, |_| None), Err(Fault::Policy(PolicyId(7)))));
    assert!(matches!(Key::read(&[0xff], |_| Some(policy())), Err(Fault::Body(_))));
}
