use std::time::Instant;
use server::store::*;
use vocab::Revision;
use crate::world::*;
use crate::shared::*;
use std::sync::Arc;
#[tokio::test(flavor = "multi_thread")]
async fn figures() {
    for world in [World::embedded(), World::etcd().await] {
        let store = world.open().await;
        let mut head = Revision(0);
        let t = Instant::now();
        for n in 0..500 { head = store.commit(put(head, key(n % 50), &"x".repeat(300))).await.unwrap(); }
        println!("{}: single commits/s {:.0}", store.kind(), 500.0 / t.elapsed().as_secs_f64());
        for batch in [10usize, 100, 118] {
            let t = Instant::now();
            let mut n = 0u64;
            for _ in 0..100 { let mut txn = Txn::new(head); for _ in 0..batch { n += 1; txn.put(key(n), "x".repeat(300)); } head = store.commit(txn).await.unwrap(); }
            println!("{}: in batches of {batch}: docs/s {:.0} (one commit {:.2} ms)", store.kind(), n as f64 / t.elapsed().as_secs_f64(), t.elapsed().as_secs_f64() * 10.0);
        }
        let mut txn = Txn::new(head);
        for n in 0..100_000 { txn.put(key(format!("big{n}")), format!("{}{n}", "x".repeat(300))); }
        let mut watch = store.watch(store.load().await.unwrap().head);
        let t = Instant::now();
        head = store.commit(txn).await.unwrap();
        println!("{}: 100k docs committed in {:?}", store.kind(), t.elapsed());
        while let Some(e) = watch.next().await { if let Event::Committed(c) = e { if c.puts.len() == 100_000 { break } } }
        println!("{}: told after {:?}", store.kind(), t.elapsed());
        let t2 = Instant::now();
        let l = store.load().await.unwrap();
        println!("{}: loaded {} in {:?}", store.kind(), l.docs.len(), t2.elapsed());
        let t2 = Instant::now();
        head = loop { match store.commit(put(head, key(1), "x")).await { Ok(h) => break h, Err(e) => println!("{e} {:?}", t2.elapsed()) } };
        println!("{}: next commit waited {:?}, {:?} since the big", store.kind(), t2.elapsed(), t.elapsed());
        let t2 = Instant::now();
        for n in 0..100 { head = store.commit(put(head, key(n), "x")).await.unwrap(); while let Some(e) = watch.next().await { if let Event::Committed(c) = e { if c.revision == head { break } } } }
        println!("{}: commit + told {:?}", store.kind(), t2.elapsed() / 100);
        let t2 = Instant::now();
        println!("{}: loaded {} in {:?}", store.kind(), store.load().await.unwrap().docs.len(), t2.elapsed());
        let log = world.open_log().await;
        let rep = |boot: u64, seq: u64| wire::UsageReport { proxy: "p".into(), boot, seq, rows: (0..100).map(|n| wire::UsageRow { minute: 29_900_000 + seq / 60, key: n, team: format!("t{}", n % 10), model: "gpt".into(), provider: "openai".into(), upstream_model: "gpt-4".into(), requests: 1, tokens_input: 100, cost_nanodollars: 12345, ..Default::default() }).collect() };
        let t = Instant::now();
        for seq in 1..=200 { log.append(&[rep(1, seq)]).await.unwrap(); }
        println!("{}: usage reports of 100 rows, one after another: {:.0}/s", store.kind(), 200.0 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        let mut hs = vec![];
        for boot in 2..=21 { let log = Arc::clone(&log); hs.push(tokio::spawn(async move { for seq in 1..=50 { log.append(&[rep(boot, seq)]).await.unwrap(); } })); }
        for h in hs { h.await.unwrap(); }
        println!("{}: from 20 proxies at once: {:.0}/s", store.kind(), 1000.0 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        let page = log.query(&server::usage::Query { from: 0, to: u64::MAX, group: vec![server::usage::Dimension::Team], limit: 100, ..Default::default() }).await.unwrap();
        println!("{}: query {} rows in {:?}", store.kind(), page.rows.len(), t.elapsed());
    }
}
