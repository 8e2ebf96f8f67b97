//! Starts collecting, if need be once an interface exists.

use std::time::Duration;

use rustix::process::Signal;

use super::{Failure, output::print_message, signals::EndSignals};
use crate::{
    cli::Measure,
    collect::{CollectError, Collector, FilterError, Options},
};

/// The time between two looks for an interface.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What came first.
pub(super) enum Started {
    Collecting(Box<Collector>),
    /// A signal, while nicmon waited for an interface.
    Signalled(Signal),
}

/// Starts a collector. With `--wait`, it waits for the interfaces that `-i` names.
pub(super) async fn start(
    measure: &Measure,
    end: &mut EndSignals,
    options: impl Fn() -> Result<Options, CollectError>,
) -> Result<Started, Failure> {
    let mut is_told = false;
    loop {
        let pattern = match Collector::start(options()?) {
            Err(CollectError::Filter(FilterError::Interface { pattern, .. })) if measure.wait => pattern,
            started => return Ok(Started::Collecting(Box::new(started?))),
        };
        if !is_told {
            print_message(&format!(
                "waiting for an interface that matches -i {pattern}; Ctrl-C ends the wait"
            ));
            is_told = true;
        }
        tokio::select! {
            biased;
            signal = end.next() => return Ok(Started::Signalled(signal)),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}
