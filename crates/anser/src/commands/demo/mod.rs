//! `anser demo`: a server in a temporary folder with people who have talked already. Everything is gone
//! when it ends.

mod people;
mod script;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use anser_server::accounts::{AccountConfig, RegistrationMode};
use anser_server::wiring::{ServeConfig, Server};
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use people::People;

/// Where it listens unless something else does already.
const PORT: u16 = 7700;
/// Whom the printed sign-in is for.
const GUEST: &str = "lin_xiao";
/// Everybody's password.
const PASSWORD: &str = "wild geese carry letters";

#[derive(Args)]
pub struct Demo {
    /// Address and port to listen on [default: 127.0.0.1:7700, or any free port where that one is taken]
    #[arg(long, env = "ANSER_LISTEN")]
    listen: Option<SocketAddr>,
}

impl Demo {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.demonstrate())
    }

    async fn demonstrate(self) -> anyhow::Result<ExitCode> {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        let folder = tempfile::Builder::new().prefix("anser-demo-").tempdir()?;
        let (data, home) = (folder.path().join("data"), folder.path().join("home"));
        std::fs::create_dir_all(&data)?;
        let server = self.start(&data).await?;
        let address = format!("http://{}", server.address);
        let seeded = async {
            let people = People::register(&address, &home, PASSWORD).await?;
            script::play(&people).await?;
            anyhow::Ok(people)
        };
        let mut people = tokio::select! {
            people = seeded => people.context("the demo could not be prepared")?,
            _ = interrupted.recv() => return Ok(ExitCode::SUCCESS),
            _ = terminated.recv() => return Ok(ExitCode::SUCCESS),
        };
        greet(&address, &home)?;
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
            why = server.halted() => anyhow::bail!("the disk of the temporary folder failed: {why}"),
            () = people.answer() => {}
        }
        people.stop().await;
        server.drain().await;
        folder.close().context("the temporary folder could not be removed")?;
        Ok(ExitCode::SUCCESS)
    }

    async fn start(&self, data: &Path) -> anyhow::Result<Server> {
        let accounts = AccountConfig { registration: RegistrationMode::Open, ..AccountConfig::default() };
        let config = |listen| ServeConfig {
            accounts: accounts.unlimited().with_cheap_passwords(),
            ..ServeConfig::new(data, listen)
        };
        let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let listen = match self.listen {
            Some(listen) => listen,
            // Only to see whether it is free: the server binds it itself.
            None => match std::net::TcpListener::bind(loopback(PORT)) {
                Ok(_) => loopback(PORT),
                Err(_) => loopback(0),
            },
        };
        Server::start(config(listen)).await
    }
}

/// How to come in, on standard output.
fn greet(address: &str, home: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let home = home.display();
    writeln!(out, "Anser demo at {address}: eight people, three groups, everything temporary")?;
    writeln!(out, "鸿雁演示：八个人，三个群，结束时全部删除")?;
    writeln!(out, "\nSign in as 林晓, and as somebody else in another terminal · 登录：")?;
    writeln!(out, "  ANSER_HOME={home} anser chat --profile {GUEST}")?;
    writeln!(out, "  ANSER_HOME={home} anser chat --profile maya")?;
    writeln!(out, "\nEverybody's password · 所有人的密码:  {PASSWORD}")?;
    let handles: Vec<&str> = people::PEOPLE.iter().map(|(handle, _)| *handle).collect();
    writeln!(out, "Handles · 用户名:  {}", handles.join(" "))?;
    writeln!(out, "\nCtrl-C ends it and removes {home}.")?;
    out.flush()
}
