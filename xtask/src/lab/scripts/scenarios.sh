# Observations for nicmon's scenario tests, with the kernel's own counters at the same time:
# `scenario NAME SECONDS COMMAND...` runs the command while nicmon captures.

# Ten times per second, the kernel's own counters, each time between two readings of the time since boot.
watch() {
    while :; do
        cat /proc/uptime /proc/net/dev /proc/softirqs /proc/interrupts /proc/uptime
        sleep 0.1
    done
}

scenario() {
    folder=/tmp/$1
    mkdir -p "$folder"
    seconds=$2
    shift 2
    watch >"$folder/watched" &
    watching=$!
    touch /tmp/load
    "$@" &
    loading=$!
    sleep 1
    nicmon --json --max-overhead off -d 2s -n "$seconds" -F 199 --capture "$folder/observations" \
        >"$folder/frames" 2>"$folder/nicmon.err"
    echo "nicmon $?" >>"$folder/status"
    rm /tmp/load
    wait $loading
    kill $watching
    wait $watching
    cp -r "$folder" /out/
    rm -r "$folder"
}

up() {
    name=$(interface "$1") || return
    ip address add "$2" dev "$name"
    ip link set "$name" up
}

# `downloads_of URL NUMBER`: downloads a URL, this many times in parallel, until the load ends.
downloads_of() {
    for flow in $(seq "$2"); do
        while [ -e /tmp/load ]; do wget -q -O /dev/null "$1" || sleep 0.1; done &
    done
    wait
}

# Downloads two URLs in parallel.
both() {
    downloads_of "$1" 1 &
    downloads_of "$2" 1
}

# Waits until nicmon has written this many frames. Under emulation, it takes seconds to start.
frames_are() {
    while [ "$(wc -l <"$folder/frames" || echo 0)" -lt "$1" ]; do sleep 0.2; done
}

# Takes CPU 1 offline after the second frame and online again after the fifth.
without_cpu_1() {
    downloads_of "$1" 1 &
    frames_are 2
    echo 0 >/sys/devices/system/cpu/cpu1/online
    frames_are 5
    echo 1 >/sys/devices/system/cpu/cpu1/online
    wait
}

# All interrupts of an interface on CPU 0, as an administrator without irqbalance may leave them.
on_cpu_0() {
    for line in $(lines "$1"); do
        echo 1 >"/proc/irq/$line/smp_affinity"
    done
    downloads_of "$2" 24
}
