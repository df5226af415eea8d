//! Documents that come together, on top of what is in force.

use super::*;

#[test]
fn names_that_nobody_bears_are_told_with_their_place() {
    let mut house = House::with(first_page());
    let documents = json!([
        {"kind": "Model", "name": "gpt", "targets": [{"provider": "mock", "model": "a"}, {"provider": "mok", "model": "a"}]},
        {"kind": "User", "name": "ada", "team": "serach"},
        {"kind": "Key", "name": "k", "models": ["*"], "team": "nobody", "user": "bob"},
    ]);
    assert_eq!(
        house.faults(&documents),
        [
            "0 Model/gpt.targets[1].provider: there is no Provider `mok`; did you mean `mock`?",
            "1 User/ada.team: there is no Team `serach`; did you mean `search`?",
            "2 Key/k.team: there is no Team `nobody`",
            "2 Key/k.user: there is no User `bob`",
        ]
    );
}

#[test]
fn the_order_of_documents_does_not_matter() {
    let Value::Array(mut documents) = first_page() else { unreachable!() };
    documents.reverse();
    let reversed = House::with(Value::Array(documents));
    assert_eq!(reversed.state.digest().to_string().len(), 32);
    assert_eq!(reversed.state.count(ResourceKind::Key), 1);
}

#[test]
fn a_faulty_document_does_not_make_others_faulty_and_is_checked_all_the_same() {
    let documents = json!([
        {"kind": "Provider", "name": "mock", "dialect": "openai", "baseUrl": "nonsense"},
        {"kind": "Model", "name": "gpt", "targets": [{"provider": "mock", "model": "a"}]},
        {"kind": "Model", "name": "gpt-2", "typo": 1, "targets": [{"provider": "gone", "model": "a"}, 5]},
        {"kind": "Key", "name": "k", "team": "gone", "models": 5},
        {"kind": "Model", "name": "gpt-2", "targets": [{"provider": "mock", "model": "a"}]},
    ]);
    assert_eq!(
        House::default().faults(&documents),
        [
            "0 Provider/mock.baseUrl: it must start with http:// or https://",
            "2 Model/gpt-2.typo: there is no such field",
            "2 Model/gpt-2.targets[1]: must be an object {provider, model}, not a number",
            "2 Model/gpt-2.targets[0].provider: there is no Provider `gone`",
            "3 Key/k.models: must be a list, not text".replace("text", "a number").as_str(),
            "3 Key/k.team: there is no Team `gone`",
            "4 Model/gpt-2: is given twice; the first time in document 2",
        ]
    );
}

#[test]
fn one_name_is_given_once() {
    let documents = json!([
        {"kind": "Team", "name": "a"}, {"kind": "User", "name": "a"}, {"kind": "Team", "name": "a"}, {"kind": "Team", "name": "a"},
    ]);
    assert_eq!(
        House::default().faults(&documents),
        [
            "2 Team/a: is given twice; the first time in document 0",
            "3 Team/a: is given twice; the first time in document 0",
        ]
    );
}

#[test]
fn the_same_documents_again_change_nothing() {
    let mut house = House::with(first_page());
    assert_eq!(house.outcomes(&first_page()), [Outcome::Unchanged; 4]);

    // As written by hand, without a secret: minted once, then left alone.
    let by_hand = json!([{"kind": "Key", "name": "minted", "models": ["*"]}]);
    let proposal = propose(&house.state, by_hand.as_array().unwrap(), &mut house.shell).unwrap();
    let minted = proposal.entries[0].minted.clone().unwrap();
    house.commit(&proposal.changes());
    assert_eq!(vocab::key::shape(minted.expose()), vocab::key::Shape::Ours(house.key("minted").id));
    assert_eq!(house.key("minted").sha256, shell::hash(minted.expose()));
    assert_eq!(house.outcomes(&by_hand), [Outcome::Unchanged]);

    // And as exported.
    let exported: Vec<_> = house.state.iter().map(|stored| registry::export(&stored.resource)).collect();
    assert_eq!(house.outcomes(&Value::Array(exported)), [Outcome::Unchanged; 5]);
    // And as answered.
    let answered: Vec<_> = house.state.iter().map(registry::document).collect();
    assert_eq!(house.outcomes(&Value::Array(answered)), [Outcome::Unchanged; 5]);
}

#[test]
fn outcomes_tell_what_would_happen() {
    let mut house = House::with(first_page());
    let documents = json!([
        {"kind": "Team", "name": "search", "description": "who searches"},
        {"kind": "Team", "name": "find"},
        {"kind": "Model", "name": "gpt-4o-mini", "targets": [{"provider": "mock", "model": "gpt-4o-mini"}]},
    ]);
    assert_eq!(house.outcomes(&documents), [Outcome::Updated, Outcome::Created, Outcome::Unchanged]);
    let proposal = propose(&house.state, documents.as_array().unwrap(), &mut house.shell).unwrap();
    let changed: Vec<_> = proposal.changes().iter().map(|change| change.reference().to_string()).collect();
    assert_eq!(changed, ["Team/search", "Team/find"]);
}

#[test]
fn what_is_in_use_is_not_deleted() {
    let mut house = House::with(first_page());
    house.apply(json!([{"kind": "User", "name": "ada", "team": "search"}, key_with("k2", json!({"user": "ada"}))]));
    let refused = |house: &House, deleted: &[(ResourceKind, &str)]| {
        let changes: Vec<_> = deleted.iter().map(|(kind, name)| Change::Delete(Ref::new(*kind, name))).collect();
        house.state.check(&changes).iter().map(|fault| format!("{} {fault}", fault.document)).collect::<Vec<_>>()
    };
    let team = (ResourceKind::Team, "search");
    let user = (ResourceKind::User, "ada");
    let keys = [(ResourceKind::Key, "bench"), (ResourceKind::Key, "k2")];
    assert_eq!(refused(&house, &[team]), ["0 Team/search: is used by User/ada", "0 Team/search: is used by Key/bench"]);
    assert_eq!(refused(&house, &[(ResourceKind::Provider, "mock")]), ["0 Provider/mock: is used by Model/gpt-4o-mini"]);
    assert_eq!(refused(&house, &[user]), ["0 User/ada: is used by Key/k2"]);
    assert_eq!(refused(&house, &[(ResourceKind::Team, "gone")]), ["0 Team/gone: does not exist"]);
    // Together with who uses it, in whatever order.
    assert_eq!(refused(&house, &[team, user, keys[0], keys[1]]), Vec::<String>::new());
    assert_eq!(refused(&house, &[keys[1], user, keys[0], team]), Vec::<String>::new());
    let referrers: Vec<_> = house.state.referrers(&Ref::new(team.0, team.1)).map(|of| of.to_string()).collect();
    assert_eq!(referrers, ["User/ada", "Key/bench"]);
    // And one after the other.
    for (kind, name) in [keys[1], user, keys[0], team] {
        house.delete(kind, name);
    }
    assert_eq!(house.state.count(ResourceKind::Team), 0);
}

#[test]
fn who_lets_go_in_the_same_change_is_no_hindrance() {
    let house = House::with(first_page());
    let team = Change::Delete(Ref::new(ResourceKind::Team, "search"));
    let mut key = house.key("bench");
    let holds_on = house.state.check(&[team.clone(), Change::Put(registry::Resource::Key(key.clone()))]);
    assert_eq!(holds_on.len(), 1);
    assert_eq!(holds_on[0].to_string(), "Key/bench.team: Team/search is deleted by the same change");
    key.team = None;
    assert_eq!(house.state.check(&[team, Change::Put(registry::Resource::Key(key))]), []);
}

#[test]
fn one_secret_opens_one_key() {
    let mut house = House::with(first_page());
    let taken = json!([key_with("a", json!({"secret": "sk-bench-key"}))]);
    assert_eq!(house.faults(&taken), ["0 Key/a.sha256: is the secret of Key/bench too"]);
    let by_hash = json!([key_with("a", json!({"sha256": shell::hash("sk-bench-key").to_string()}))]);
    assert_eq!(house.faults(&by_hash), ["0 Key/a.sha256: is the secret of Key/bench too"]);
    let twins =
        json!([key_with("a", json!({"secret": "sk-the-same"})), key_with("b", json!({"secret": "sk-the-same"}))]);
    assert_eq!(house.faults(&twins), ["1 Key/b.sha256: is the secret of Key/a too"]);
    let offline: Vec<_> =
        registry::validate_documents(twins.as_array().unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(offline, ["Key/b.sha256: is the secret of Key/a too"]);

    // The one before a rotation is taken, too, while it is remembered.
    let rotated = house.key("bench").rotated(shell::hash("sk-another"), Some("2029-01-01T00:00:00Z".parse().unwrap()));
    house.commit(&[Change::Put(registry::Resource::Key(rotated))]);
    assert_eq!(house.faults(&taken), ["0 Key/a.sha256: is the secret of Key/bench too"]);
    // Two keys may swap their secrets in one transaction.
    house.apply(json!([
        key_with("a", json!({"secret": "sk-of-a-now"})),
        key_with("b", json!({"secret": "sk-of-b-now"}))
    ]));
    house.apply(json!([
        key_with("a", json!({"secret": "sk-of-b-now"})),
        key_with("b", json!({"secret": "sk-of-a-now"}))
    ]));
    assert_eq!(house.state.key_by_hash(&shell::hash("sk-of-a-now")).unwrap().name.as_str(), "b");
}

#[test]
fn one_id_names_one_key() {
    let mut house = House::with(first_page());
    let id = house.key("bench").id;
    assert_eq!(house.state.key_by_id(id).unwrap().name.as_str(), "bench");
    let taken = json!([key_with("a", json!({"id": id.to_string()}))]);
    assert_eq!(house.faults(&taken), ["0 Key/a.id: is the id of Key/bench too"]);
}

#[test]
fn a_secret_cannot_come_before_itself() {
    let hash = shell::hash("sk-bench-key").to_string();
    let document =
        key_with("k", json!({"sha256": hash, "previous": {"sha256": hash, "until": "2030-01-01T00:00:00Z"}}));
    assert_eq!(
        House::default().faults(&json!([document])),
        ["0 Key/k.previous.sha256: is the secret the key has now; it cannot be the one before"]
    );
}

#[test]
fn lists_are_sorted_and_go_on_where_they_ended() {
    let house = House::with(json!([
        {"kind": "Team", "name": "b"}, {"kind": "Team", "name": "a"}, {"kind": "Team", "name": "c"}, {"kind": "User", "name": "u"},
    ]));
    let names = |after| {
        let page = house.state.list(ResourceKind::Team, after).take(2);
        page.map(|stored| stored.resource.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(None), ["a", "b"]);
    assert_eq!(names(Some("b")), ["c"]);
    assert_eq!(names(Some("aa")), ["b", "c"]);
    assert_eq!(house.state.list(ResourceKind::Key, None).count(), 0);
    let all: Vec<_> = house.state.iter().map(|stored| stored.resource.reference().to_string()).collect();
    assert_eq!(all, ["Team/a", "Team/b", "Team/c", "User/u"]);
}
