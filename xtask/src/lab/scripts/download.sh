# `measure FOLDER MAC ADDRESS/BITS URL SECONDS NUMBER`: downloads with nicmon and perf. The files `begin` and
# `end` contain seconds.hundredths since boot, from CLOCK_BOOTTIME. On a machine that never sleeps, it equals
# CLOCK_MONOTONIC.
measure() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    start_nicmon "$folder"
    uptime="cut -d ' ' -f 1 /proc/uptime"
    download="wget -q -O /dev/null $4; echo download \$? >>$folder/status"
    perf record -q -a -e cpu-clock -F 999 -k CLOCK_MONOTONIC -o "$folder/perf.data" -- timeout "$5" sh -c \
        "$uptime >$folder/begin; for i in $(seq "$6" | xargs); do $download; done; $uptime >$folder/end" \
        2>"$folder/perf.err"
    echo "perf $?" >>"$folder/status"
    cp /proc/kallsyms "$folder/kallsyms"
    stop_nicmon "$folder"
    end "$folder"
}
