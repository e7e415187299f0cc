//! `ohx mapping`: what people need around mapping documents.

mod check;
mod codes;
mod corpus;
mod coverage;
mod diff;
mod measures;
mod show;
mod source;
mod table;

use std::io::{self, BufWriter, Write as _};
use std::process::ExitCode;

use clap::Subcommand;

pub(crate) use self::source::built_in;

/// Checks, compares and prints mapping documents.
#[derive(Subcommand)]
// What has arguments says itself what it does.
pub(crate) enum Mapping {
    Check(check::Check),
    Diff(diff::Diff),
    Coverage(coverage::Coverage),
    /// Prints the JSON Schema of documents, for editors
    Schema,
    Show(show::Show),
    /// Lists the built-in documents
    List,
    /// Prints every provider, record, code and unit as a table in Markdown
    Measures,
    CodeSystems(codes::CodeSystems),
}

/// Standard output, in pieces that are worth a write.
pub(crate) type Out = BufWriter<io::Stdout>;

impl Mapping {
    /// Ends with exit code 2 where it could not do its work.
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut out = BufWriter::new(io::stdout());
        let ended = match self {
            Self::Check(check) => check.run(&mut out),
            Self::Diff(diff) => diff.run(&mut out),
            Self::Coverage(coverage) => coverage.run(&mut out),
            Self::Schema => show::schema(&mut out),
            Self::Show(show) => show.run(&mut out),
            Self::List => show::list(&mut out),
            Self::Measures => measures::run(&mut out),
            Self::CodeSystems(codes) => codes.run(&mut out),
        };
        match ended.and_then(|code| Ok(out.flush().map(|()| code)?)) {
            // A reader that has seen enough closes the pipe: no error of ours, but no word on all pages either.
            Err(error) if is_broken_pipe(&error) => Ok(match self {
                Self::Diff(_) => ExitCode::from(2),
                _ => ExitCode::SUCCESS,
            }),
            other => other,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
