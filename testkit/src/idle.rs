//! Decides which of perf's samples are idle.

/// Functions of the idle loop (kernel/sched/idle.c, the idle routines of the architecture and of ACPI, and
/// the switch to and from the idle task). A sample of the idle task in one of them is idle. Its other samples
/// are interrupts, except for a few in locks and timers, which the address alone cannot distinguish.
const IDLE: [&str; 18] = [
    "__schedule",
    "acpi_idle_",
    "acpi_processor_ffh_cstate_enter",
    "acpi_safe_halt",
    "arch_cpu_idle",
    "cpu_idle_poll",
    "cpu_startup_entry",
    "cpuidle_",
    "default_idle",
    "do_idle",
    "finish_task_switch",
    "menu_",
    "mwait_idle",
    "native_safe_halt",
    "pv_native_safe_halt",
    "rcu_idle_",
    "schedule_idle",
    "tick_nohz_",
];

/// Whether a sample with this process id is idle; `function` is `None` if it is unknown.
pub fn is_idle(pid: i64, function: Option<&str>) -> bool {
    pid == 0 && function.is_some_and(|function| IDLE.iter().any(|idle| function.starts_with(idle)))
}

#[cfg(test)]
mod tests {
    use super::is_idle;

    #[test]
    fn only_the_idle_task_is_idle() {
        assert!(is_idle(0, Some("pv_native_safe_halt")) && is_idle(0, Some("tick_nohz_idle_enter")));
        assert!(!is_idle(0, Some("veth_poll")) && !is_idle(0, None));
        assert!(!is_idle(117, Some("__schedule")));
    }
}
