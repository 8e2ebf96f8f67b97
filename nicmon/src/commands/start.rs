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
    let mut told = None;
    loop {
        let pattern = match Collector::start(options()?) {
            Err(CollectError::Filter(FilterError::Interface { pattern, .. })) if measure.wait => pattern,
            started => return Ok(Started::Collecting(Box::new(started?))),
        };
        if let Some(message) = waits_for(&mut told, pattern) {
            print_message(&message);
        }
        tokio::select! {
            biased;
            signal = end.next() => return Ok(Started::Signalled(signal)),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// What nicmon waits for, if it has not said so yet. `told` is the pattern that it named last.
fn waits_for(told: &mut Option<String>, pattern: String) -> Option<String> {
    let message = format!("waiting for an interface that matches -i {pattern}; Ctrl-C ends the wait");
    (told.replace(pattern.clone()) != Some(pattern)).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_that_is_waited_for_is_named_once() {
        let mut told = None;
        let mut names = |pattern: &str| {
            let message = waits_for(&mut told, pattern.to_owned());
            message.is_some_and(|message| message.contains(&format!("-i {pattern};")))
        };
        assert_eq!(
            ["eth7", "eth7", "wlan*", "wlan*", "eth7"].map(&mut names),
            [true, false, true, false, true]
        );
    }
}
