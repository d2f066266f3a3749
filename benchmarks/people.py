"""How fast people that never lived are made: pictures per second of one core, by processor time.

python benchmarks/people.py --clothes makehuman --people 20

Dressing the people, rendering, cameras, and who comes between are included; reading bodies and clothes, once per
process, is told apart. Processor time counts all threads, so a busy machine gives nearly the same figure.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from _results import add_json, save_asked

from streamreid.synth.people import Generator, PeopleConfig
from streamreid.synth.people.makehuman import clothes_folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clothes", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=3)
    add_json(parser, "people")
    args = parser.parse_args()
    begin = time.process_time()
    config = PeopleConfig(people=args.people, pictures=args.pictures, cameras=6)
    generator = Generator(config, clothes_folder(args.clothes))
    start = time.process_time() - begin
    for _ in generator.person(0):
        pass  # cameras and the first of those who come between
    begin, count, size = time.process_time(), 0, 0
    for number in range(1, 1 + args.people):
        for _, picture in generator.person(number):
            count, size = count + 1, size + len(picture.jpeg)
    seconds = time.process_time() - begin
    figures = {"pictures_per_core_second": round(count / seconds, 1), "start_seconds": round(start, 1)}
    print(
        f"{count} pictures of {args.people} people: {count / seconds:.1f} a second of one core, "
        f"{size / count / 1024:.1f} KiB each; reading bodies and clothes {start:.1f} s"
    )
    save_asked(args, figures)


if __name__ == "__main__":
    main()
