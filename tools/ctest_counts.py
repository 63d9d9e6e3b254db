#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ctest_counts.py RESULTS.XML --skips=refused|uring|allowed

Reads what ctest --output-junit wrote. Names what did not pass; the last line is "<passed> <failed>". A skipped test
counts as failed unless skips are allowed, or allowed for names that end in ".uring" or ".uring.tls". Exit status 1
if any failed.
"""
import sys
import xml.etree.ElementTree


def main():
    path, policy = sys.argv[1], sys.argv[2].split("=", 1)[1]
    try:
        cases = xml.etree.ElementTree.parse(path).getroot().findall("testcase")
    except (OSError, xml.etree.ElementTree.ParseError) as problem:
        print(f"no test results: {problem}", file=sys.stderr)
        print("0 1")
        return 1
    passed = failed = 0
    for case in cases:
        name = case.get("name")
        if case.find("failure") is not None or case.get("status") == "fail":
            failed += 1
            print(f"   failed: {name}", file=sys.stderr)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            fine = policy == "allowed" or (policy == "uring" and name.endswith((".uring", ".uring.tls")))
            failed += not fine
            print(f"   skipped{'' if fine else ' (counts as failed)'}: {name}", file=sys.stderr)
        else:
            passed += 1
    print(passed, failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
