# `capture`: everything that `nicmon topology`, ethtool, sysfs and procfs report about the NICs, as one text.

# The current content of a file; nothing if the kernel refuses to read it.
file() {
    text=$(cat "$1" 2>/dev/null) || return 0
    echo "-- $1 --"
    echo "$text"
}

link() {
    echo "-- $1 -> $(readlink "$1") --"
}

# The output of a command, or a note that it failed.
ran() {
    if text=$("$@" 2>&1); then
        echo "-- \$ $* --"
    else
        echo "-- \$ $*: failed --"
    fi
    echo "$text"
}

nic() {
    name=$(basename "$1")
    for option in -i -l -g -c -k -x; do
        ran ethtool "$option" "$name"
    done
    for flow in tcp4 udp4 tcp6 udp6; do
        ran ethtool -n "$name" rx-flow-hash "$flow"
    done
    link "$1"
    at=$(readlink -f "$1")
    for each in address ifindex mtu tx_queue_len speed gro_flush_timeout napi_defer_hard_irqs threaded; do
        file "$at/$each"
    done
    for each in "$at"/queues/*/*; do
        [ -f "$each" ] && file "$each"
    done
    for each in "$at"/upper_* "$at"/lower_*; do
        [ -L "$each" ] && link "$each"
    done
    [ -L "$at/device" ] || return 0
    link "$at/device"
    device=$(readlink -f "$at/device")
    for at in "$device" "$(dirname "$device")"; do
        for each in "$at/numa_node" "$at/irq" "$at"/msi_irqs/*; do
            [ -f "$each" ] && file "$each"
        done
    done
}

machine() {
    file /proc/interrupts
    file /proc/net/ptype
    for each in /proc/irq/*/smp_affinity_list /proc/irq/*/effective_affinity_list /sys/kernel/irq/*/actions \
        /proc/sys/net/core/*budget* /proc/sys/net/core/dev_weight* /proc/sys/net/core/busy_* \
        /proc/sys/net/core/netdev_max_backlog /proc/sys/net/core/gro_normal_batch \
        /proc/sys/net/core/rps_sock_flow_entries /sys/devices/system/cpu/online \
        /sys/devices/system/cpu/isolated /sys/devices/system/cpu/nohz_full \
        /sys/devices/system/node/node*/cpulist \
        /sys/devices/system/cpu/cpu*/topology/physical_package_id \
        /sys/devices/system/cpu/cpu*/topology/core_id \
        /sys/devices/system/cpu/cpu*/topology/thread_siblings_list; do
        [ -f "$each" ] && file "$each"
    done
}

capture() {
    ran nicmon topology --json
    for each in /sys/class/net/*; do
        nic "$each"
    done
    machine
}
