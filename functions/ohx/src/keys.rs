//! `ohx keys`.

use clap::Subcommand;
use secrecy::ExposeSecret as _;

/// Makes keys.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Prints fresh values for OHX_KEYS (the keyring) and OHX_API_KEY
    New {
        /// The new key's id in the keyring; each key of a keyring has its own
        #[arg(long, default_value = "k1")]
        id: String,
    },
}

impl Keys {
    pub(crate) fn run(&self) {
        let Self::New { id } = self;
        println!("OHX_KEYS={id}:{}", ohx_seal::generate_key().expose_secret());
        println!("OHX_API_KEY={}", ohx_seal::generate_key().expose_secret());
    }
}
