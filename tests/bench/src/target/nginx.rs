//! The yardstick: nginx as a plain reverse proxy with kept-alive connections on both sides, one process, nothing logged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Ground, Running};
use crate::fail::{Context as _, Fail};
use crate::process::{self, Process};

pub(super) fn start(ground: &Ground, round: usize) -> Result<Running, Fail> {
    let name = format!("nginx-{round}");
    let dir = ground.home.dir.join(&name);
    fs::create_dir_all(&dir).doing(dir.display())?;
    let address = process::free_address()?;
    let file = dir.join("nginx.conf");
    let text = configuration(&dir, &address.to_string(), &ground.upstream.to_string());
    fs::write(&file, text).doing(file.display())?;
    let mut command = process::command(ground.target_place, Path::new("nginx"));
    command.arg("-p").arg(&dir).arg("-c").arg(&file);
    let mut process = Process::start(&mut command, &name, &dir)?;
    process.listening(address, Duration::from_secs(10)).doing("nginx (Debian: apt-get install nginx-light)")?;
    Ok(Running { address, watched: vec![process.pid()], _processes: vec![process] })
}

/// Request bodies stay in memory, as they do in a gateway. One process without a master ends with its owner.
fn configuration(dir: &Path, listen: &str, upstream: &str) -> String {
    let dir = dir.display();
    format!(
        r#"daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {dir}/nginx.pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 16m;
    client_body_buffer_size 512k;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream mock {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer sk-upstream";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"#
    )
}
