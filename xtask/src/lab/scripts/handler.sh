# `time_handler FOLDER MAC ADDRESS/BITS URL SECONDS FIRST METHOD FUNCTION`: a download with nicmon and with
# bpftrace, which times a function. FIRST is the tool that attaches first, nicmon or bpftrace. There is a
# bpftrace program for each METHOD.

start_bpftrace() {
    bpftrace -q -f json "/$3.$2.bt" >"$1/other" 2>"$1/other.err" &
    bpftrace=$!
    # The program prints a line once its probes are attached.
    tries=1200
    while ! grep -q attached "$1/other" && kill -0 $bpftrace 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do
        sleep 0.1
    done
}

time_handler() {
    folder=/tmp/$1
    begin "$folder" "$2" "$3" || return
    case $6 in
        nicmon) start_nicmon "$folder" && start_bpftrace "$folder" "$7" "$8" ;;
        *) start_bpftrace "$folder" "$7" "$8" && start_nicmon "$folder" ;;
    esac
    timeout "$5" wget -q -O /dev/null "$4"
    echo "download $?" >>"$folder/status"
    stop_nicmon "$folder"
    kill -INT $bpftrace
    wait $bpftrace
    echo "bpftrace $?" >>"$folder/status"
    end "$folder"
}
