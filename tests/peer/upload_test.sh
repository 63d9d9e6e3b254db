#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# curl sends files to the upload example: they arrive whole, under safe names, and nothing else is left behind.
. "$(dirname "$0")/server.sh"
need curl cmp head
mkdir "$work/in" "$work/out.d"
head -c 5000000 /dev/urandom >"$work/in/big.bin"
printf 'hello' >"$work/in/a b.txt"
: >"$work/in/empty"
start_server "$build/examples/upload" "$work/out.d" 0
url="http://$address/"
post() { curl -sS --max-time 60 -o "$work/answer" -w '%{http_code}' "$@" "$url"; }

same "two files and a field" 201 "$(post -F note=text -F "file=@$work/in/big.bin" -F "file=@$work/in/a b.txt")"
same "report" $'big.bin: 5000000 octets\na b.txt: 5 octets' "$(cat "$work/answer")"
cmp "$work/in/big.bin" "$work/out.d/big.bin" || fail "big.bin differs"
cmp "$work/in/a b.txt" "$work/out.d/a b.txt" || fail "a b.txt differs"
grep -q '^big.bin: 4 MiB$' "$work/err" || fail "no progress was shown"

same "the same name again" 201 "$(post -F "file=@$work/in/a b.txt")"
same "gets a number" 'a b-1.txt: 5 octets' "$(cat "$work/answer")"
same "chunked" 201 "$(post -H 'Transfer-Encoding: chunked' -F "file=@$work/in/empty;filename=../../../evil")"
same "no path of the peer" 'evil: 0 octets' "$(cat "$work/answer")"
same "a name that is none" 201 "$(post -F "file=@$work/in/empty;filename=..")"
same "is not written" '' "$(cat "$work/answer")"
same "no form" 415 "$(post -d a=b)"

# A client that leaves in the middle of a file leaves nothing.
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Disposition: form-data; name=f; filename=half\r\n\r\nhalf' >&3
exec 3>&-
same "still there" 200 "$(curl -sS --max-time 60 -o /dev/null -w '%{http_code}' "$url")"
stop_server
same "exit status" 0 "$status"
same "what was written" $'a b-1.txt\na b.txt\nbig.bin\nevil' "$(LC_ALL=C ls -A "$work/out.d")"
