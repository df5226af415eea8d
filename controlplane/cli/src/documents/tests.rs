use std::fs;

use serde_json::json;

use super::*;

/// A folder of its own that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("turnpike-cli-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn read(text: &str, folder: &str) -> Documents {
    let folder = Folder::new(folder);
    let path = folder.write("a.yaml", text);
    Documents::read(&[path])
}

/// The part of `file:line:column` after the file.
fn after_file(at: &str) -> &str {
    at.split_once(".yaml").map_or(at, |(_, rest)| rest)
}

const TWO: &str = "\
# the provider
kind: Provider
name: mock
credential: {env: KEY}
---
kind: Model
name: a.b/c:d
targets:
  - provider: mock
    model: x
";

#[test]
fn every_value_knows_its_line() {
    let documents = read(TWO, "lines");
    assert_eq!(documents.faults, []);
    let model = &documents.list[1];
    for (path, expected) in [
        ("Model/a.b/c:d", ":6:1"),
        ("Model/a.b/c:d.targets", ":8:1"),
        ("Model/a.b/c:d.targets[0]", ":9:5"),
        ("Model/a.b/c:d.targets[0].provider", ":9:5"),
        ("Model/a.b/c:d.targets[0].model", ":10:5"),
        ("Model/a.b/c:d.targets[7].model", ":8:1"),
        ("Model/a.b/c:d.missing", ":6:1"),
        ("something/else", ":6:1"),
        ("", ":6:1"),
    ] {
        assert_eq!(after_file(&model.locate(path)), expected, "{path}");
    }
    assert_eq!(after_file(&documents.list[0].locate("Provider/mock.credential.env")), ":4:14");
}

#[test]
fn keys_with_dots_in_them_are_found() {
    let documents = read("kind: Key\nname: k\nmetadata:\n  a: x\n  a.b: y\n", "dots");
    assert_eq!(after_file(&documents.list[0].locate("Key/k.metadata.a.b")), ":5:3");
    assert_eq!(after_file(&documents.list[0].locate("Key/k.metadata.a")), ":4:3");
}

#[test]
fn yaml_and_json_and_json_lines_say_the_same() {
    let expected = [json!({"kind": "Team", "name": "a"}), json!({"kind": "Team", "name": "b"})];
    for (at, text) in [
        "kind: Team\nname: a\n---\nkind: Team\nname: b\n",
        "- {kind: Team, name: a}\n- {kind: Team, name: b}\n",
        "[{\"kind\":\"Team\",\"name\":\"a\"},\n\t{\"kind\":\"Team\",\"name\":\"b\"}]",
        "{\"kind\":\"Team\",\"name\":\"a\"}\n{\"kind\":\"Team\",\"name\":\"b\"}\n",
        "---\n\n---\nkind: Team\nname: a\n---\n# nothing\n---\nkind: Team\nname: b\n---\n",
    ]
    .into_iter()
    .enumerate()
    {
        let documents = read(text, &format!("same-{at}"));
        assert_eq!(documents.faults, [], "{text}");
        assert_eq!(documents.list.iter().map(Document::value).collect::<Vec<_>>(), expected, "{text}");
    }
}

#[test]
fn words_that_look_like_truth_stay_words() {
    let documents = read("name: on\nother: no\nexpires: 2030-01-01T00:00:00Z\nyes: true\n", "words");
    let expected = json!({"name": "on", "other": "no", "expires": "2030-01-01T00:00:00Z", "yes": true});
    assert_eq!(documents.list[0].value(), expected);
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    for (at, (text, place, words)) in [
        ("kind: A\nname: b\nname: c\n", ":3:1", "duplicate mapping key: name"),
        ("kind: A\n  name: b\n", ":2:7", "mapping values are not allowed"),
        ("{\"kind\": \"A\",\n \"name\" \"b\"}", ":2:9", "expected `:`"),
        ("[{\"kind\": \"A\"", ":1:13", "ends too early"),
        ("a: *x\n", ":1:4", "unknown anchor"),
    ]
    .into_iter()
    .enumerate()
    {
        let documents = read(text, &format!("bad-{at}"));
        assert_eq!(documents.faults.len(), 1, "{text}");
        assert_eq!(after_file(&documents.faults[0].at), place, "{text}");
        assert!(documents.faults[0].message.contains(words), "{:?}", documents.faults[0]);
        assert!(!documents.faults[0].message.contains("at line"), "{:?}", documents.faults[0]);
    }
}

#[test]
fn a_folder_is_read_to_its_depths_in_sorted_order() {
    let folder = Folder::new("depths");
    for name in ["b.yaml", "a/z.yml", "a/b/c.json", "README.md", ".hidden.yaml", ".git/x.yaml"] {
        let stem = name.replace(['/', '.'], "-");
        folder.write(name, format!("{{\"kind\": \"Team\", \"name\": \"{stem}\"}}"));
    }
    let documents = Documents::read(&[folder.path()]);
    let names: Vec<_> = documents.list.iter().filter_map(|document| document.node.text("name")).collect();
    assert_eq!(names, ["a-b-c-json", "a-z-yml", "b-yaml"]);
    assert_eq!(documents.files, 3);
}

#[test]
fn one_bad_file_does_not_hide_the_next() {
    let folder = Folder::new("next");
    folder.write("a.yaml", "kind: [");
    folder.write("b.yaml", [0xff, 0xfe]);
    folder.write("c.yaml", "kind: Team\nname: c\n");
    let documents = Documents::read(&[folder.path(), format!("{}/nowhere", folder.path())]);
    assert_eq!(documents.list.len(), 1);
    assert_eq!(documents.faults.len(), 3);
    assert!(documents.faults[1].message.contains("UTF-8"));
    assert!(documents.faults[2].at.ends_with("/nowhere"));
}

#[test]
fn thousands_of_documents_are_read() {
    let text: String = (0..20_000).map(|n| format!("kind: Team\nname: t{n}\ndescription: d\n---\n")).collect();
    let documents = read(&text, "thousands");
    assert_eq!(documents.list.len(), 20_000);
    assert_eq!(after_file(&documents.list[19_999].locate("Team/t19999.name")), ":79998:1");
}
