//! The committed code is what the schema generates. `make proto` runs this with `UPDATE_GENERATED=1`.
//!
//! It lives here and not beside the generated code, so that it runs when that code does not compile.

use std::path::Path;

#[test]
fn generated_code_is_current() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = here.join("../proto/schema");
    let files = ["types", "config", "usage"].map(|name| schema.join(format!("turnpike/v1/{name}.proto")));
    let descriptors = protox::compile(files, [&schema]).expect("the schema compiles");
    let out = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&out).expect("a place to generate into");
    tonic_prost_build::configure()
        .out_dir(&out)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .client_mod_attribute(".", "#[cfg(feature = \"client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)
        .expect("the schema generates");
    let fresh = std::fs::read_to_string(out.join("turnpike.v1.rs")).expect("generated");
    let committed = here.join("../proto/wire/src/gen/turnpike.v1.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(here.join("../proto/wire/src/gen")).expect("a place for generated code");
        std::fs::write(&committed, fresh).expect("written");
        return;
    }
    let old = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(old == fresh, "proto/wire/src/gen is stale: run `make proto`");
}
