//! The commands, one per file. `main` parses the command line and runs one of them.

mod adopt;
mod backup;
mod canary;
mod dev;
mod dev_app;
mod doctor;
mod epoch;
mod erase;
mod export;
mod import;
mod migrate;
mod output_file;
mod remote_server;
mod schema;
mod serve;
mod stop_signal;
mod token;
mod vapid;
mod why;

pub use self::{
    adopt::adopt,
    backup::{backup, restore},
    canary::canary,
    dev::dev,
    doctor::doctor,
    epoch::epoch,
    erase::erase,
    export::export,
    import::import,
    migrate::migrate,
    schema::schema,
    serve::serve,
    token::token,
    vapid::vapid,
    why::why,
};
