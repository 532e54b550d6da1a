//! One file for each command.

mod administer;
mod bench;
mod chat;
mod completions;
mod config;
mod connect;
mod demo;
mod doctor;
mod exit;
mod folder;
mod group;
mod invite;
mod key;
mod log;
mod man;
mod password;
mod reload;
mod send;
mod serve;
mod tail;
mod user;

use std::process::ExitCode;

use clap::Subcommand;

pub use connect::DEFAULT_SERVER;
pub use exit::code as exit_code;
pub use user::machine_name;

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve the whole product from a data folder
    Serve(serve::Serve),
    /// Try it: a server in a temporary folder, with people who talk
    Demo(demo::Demo),
    /// Chat in the terminal
    Chat(chat::Chat),
    /// Send a message, or one for each line of standard input
    Send(send::Send),
    /// Write out every message that arrives
    Tail(tail::Tail),
    /// Accounts: register, sign in and out, devices, the password
    #[command(subcommand)]
    User(user::User),
    /// Make, list and change groups
    Group(group::Group),
    /// Make a code with which somebody can register
    Invite(invite::Invite),
    /// Make, list and revoke API keys of application servers
    #[command(subcommand)]
    Key(key::Key),
    /// Say whether this machine and this data folder are fit to serve, and what to do where they are not
    Doctor(doctor::Doctor),
    /// The configuration file: an example, and a check
    #[command(subcommand)]
    Config(config::Config),
    /// Measure this machine: figures beside what it does at most
    Bench(bench::Bench),
    /// Look into the log of a data folder
    #[command(subcommand)]
    Log(log::Log),
    /// Write a shell's completion script
    Completions(completions::Completions),
    /// Write a manual page, or all of them
    Man(man::Man),
}

/// Does it. An error is for people to read.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Chat(chat) => chat.run(),
        Command::Send(send) => send.run(),
        Command::Tail(tail) => tail.run(),
        Command::User(user) => user.run(),
        Command::Group(group) => group.run(),
        Command::Invite(invite) => invite.run(),
        Command::Key(key) => key.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Config(config) => config.run(),
        Command::Bench(bench) => bench.run(),
        Command::Log(log) => log.run(),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}
