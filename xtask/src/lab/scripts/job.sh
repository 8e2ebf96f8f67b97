# Functions that the jobs of all cases share. Results go to /out/FOLDER, but are written to memory first,
# because the interrupts of the shared folder would be measured as well.

interface() {
    for device in /sys/class/net/*; do
        [ "$(cat "$device/address")" = "$1" ] && basename "$device" && return
    done
    echo "no interface has the address $1" >&2
    return 1
}

# The numbers of an interface's interrupt lines. With MSI, the device does not use its plain line, which may
# belong to another device. The lines of a virtio device belong to its parent, a PCI device.
lines() {
    for device in "/sys/class/net/$1/device" "/sys/class/net/$1/device/.."; do
        if [ -d "$device/msi_irqs" ]; then
            ls "$device/msi_irqs"
        elif [ -f "$device/irq" ]; then
            cat "$device/irq"
        fi
    done
}

# `downloads URL NUMBER`: prints the command that downloads a URL this many times.
downloads() {
    echo "for i in $(seq "$2" | xargs); do wget -q -O /dev/null $1 || exit; done"
}

start_nicmon() {
    # Short frames, so that few of them lie partly outside a transfer. About as many samples as perf takes,
    # but not at the same moments.
    nicmon --json --max-overhead off -d 250ms -F 997 >"$1/frames" 2>"$1/nicmon.err" &
    nicmon=$!
    tries=600
    while [ ! -s "$1/frames" ] && kill -0 $nicmon 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
    cp /proc/interrupts "$1/interrupts.first"
}

# Waits for two more frames. They contain the last packets and all interrupts up to the reading in between.
stop_nicmon() {
    sleep 1.1
    cp /proc/interrupts "$1/interrupts.last"
    sleep 1.2
    kill -INT $nicmon
    wait $nicmon
    echo "nicmon $?" >>"$1/status"
}

counters() {
    for counter in rx_packets tx_packets; do
        echo "$counter $(cat "/sys/class/net/$2/statistics/$counter")"
    done >"$1/counters.$3"
    cp /proc/interrupts "$1/interrupts.$3"
}

# Stores the interface's name in $name.
begin() {
    mkdir -p "$1"
    name=$(interface "$2") || return
    ip address add "$3" dev "$name"
    ip link set "$name" up
    echo "$name" >"$1/interface"
    lines "$name" >"$1/lines"
    sleep 1
    counters "$1" "$name" before
}

end() {
    counters "$1" "$name" after
    ip link set "$name" down
    ip address flush dev "$name"
    cp -r "$1" /out/
    rm -r "$1"
}

# `start_reader FOLDER`: reads the datagrams that the load sends. Stores the process in $reader.
start_reader() {
    cat >/reader <<'END'
# AF_INET, SOCK_DGRAM; port 9 of all addresses.
socket(S, 2, 2, 0) or die $!;
bind(S, pack("S n x12", 2, 9)) or die $!;
recv(S, $packet, 2048, 0) while 1;
END
    perl /reader 2>"$1/other.err" &
    reader=$!
}
