# `stacks FOLDER MAC ADDRESS/BITS URL SECONDS DOWNLOADS`: records downloads with call stacks, while perf
# records them as well.
stacks() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    perf record -q -a -g -e cpu-clock -F 999 -k CLOCK_MONOTONIC -o "$folder/perf.data" -- \
        nicmon record -q --max-overhead off --stacks -F 997 -o "$folder/recording" -- \
        timeout "$5" sh -c "$(downloads "$4" "$6")" 2>"$folder/perf.err"
    echo "record $?" >>"$folder/status"
    cp /proc/kallsyms "$folder/kallsyms"
    end "$folder"
}

# `datagrams FOLDER MAC ADDRESS/BITS SECONDS`: the same of a program that reads UDP datagrams, which the load
# sends.
datagrams() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    start_reader "$folder"
    touch /out/send
    sleep 1
    perf record -q -a -g -e cpu-clock -F 999 -k CLOCK_MONOTONIC -o "$folder/perf.data" -- \
        nicmon record -q --max-overhead off -F 997 -o "$folder/recording" -- sleep "$4" 2>"$folder/perf.err"
    echo "record $?" >>"$folder/status"
    rm /out/send
    kill $reader
    cp /proc/kallsyms "$folder/kallsyms"
    end "$folder"
}
