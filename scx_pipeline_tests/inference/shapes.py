"""Files of public shapes, generated: trips, a web shop, access logs, GitHub events, a bank statement, weather stations, and more.

Each has a hundred rows or more over three months, and the pitfalls of its kind.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

Files = Mapping[str, bytes]
START = datetime(2023, 1, 3, 6, 0, 0)
ROWS = 120


def _timestamps(random: Random, count: int = ROWS) -> list[datetime]:
    """Times over three months, each once, in order."""
    return sorted(
        START + timedelta(minutes=random.randrange(86 * 24 * 60), seconds=place) for place in range(count)
    )


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]], **options: object) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n", **options)  # type: ignore[arg-type]
    writer.writerows([header, *rows] if header else rows)
    return text.getvalue()


def _by_month(
    rows: Sequence[tuple[datetime, Sequence[object]]], name: Callable[[datetime], str], header: Sequence[str]
) -> Files:
    found: dict[str, list[Sequence[object]]] = {}
    for at, row in rows:
        found.setdefault(name(at), []).append(row)
    return {key: _csv(header, part).encode() for key, part in found.items()}


def trips(random: Random) -> Files:
    """Taxi trips, one CSV file a month, with pick-up and drop-off, zones, amounts and some empty values."""
    header = [
        "VendorID",
        "tpep_pickup_datetime",
        "tpep_dropoff_datetime",
        "passenger_count",
        "trip_distance",
        "PULocationID",
        "payment_type",
        "fare_amount",
        "store_and_fwd_flag",
    ]
    rows = [
        (at, [random.choice([1, 2]), at, at + timedelta(minutes=random.randrange(3, 60)), random.choice(["", 1, 2]), round(random.random() * 20, 2), random.randrange(1, 265), random.randrange(1, 5), f"{random.random() * 50:.2f}", random.choice("NY")])
        for at in _timestamps(random)
    ]  # fmt: skip
    return _by_month(rows, lambda at: f"trips/yellow_tripdata_{at:%Y-%m}.csv", header)


def web_shop(random: Random) -> Files:
    """Orders of a German web shop: semicolons, Windows-1252, a title, decimal commas, customers with their cities."""
    customers = [
        (
            f"K{number:05}",
            random.choice(["Müller", "Groß", "Schröder"]) + f" {number}",
            random.choice(["Köln", "Berlin", "Zürich"]),
        )
        for number in range(12)
    ]
    rows = [
        (f"2023-{number:06}", f"{at:%d.%m.%Y %H:%M:%S}", *random.choice(customers), f"{random.randrange(100, 400000) / 100:,.2f}".translate(str.maketrans(",.", ".,")), random.choice(["ja", "nein"]))
        for number, at in enumerate(_timestamps(random))
    ]  # fmt: skip
    text = "Bestellungen 2023\n\n" + _csv(
        ["Bestellnr.", "Bestellt am", "Kunden-Nr", "Name", "Ort", "Betrag (EUR)", "Bezahlt"],
        rows,
        delimiter=";",
    )
    return {"shop/export.csv": text.replace("\n", "\r\n").encode("windows-1252")}


def access_log(random: Random) -> Files:
    """The access log of a web server, in the combined format: blanks, quotes, brackets around the time, no header."""
    lines = [
        f'10.0.{random.randrange(9)}.{random.randrange(200)} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /{random.choice("abc")} HTTP/1.1" {random.choice([200, 404])} {random.randrange(9000)} "-" "curl/8 ({place})"'
        for place, at in enumerate(_timestamps(random))
    ]  # fmt: skip
    return {"logs/access.log": "\n".join([*lines, ""]).encode()}


def github_events(random: Random) -> Files:
    """GitHub's events as JSON lines, nested, a file per day."""
    found: dict[str, list[str]] = {}
    repos = [(number, f"org/repo{number}") for number in range(8)]
    for place, at in enumerate(_timestamps(random)):
        number, name = random.choice(repos)
        event = {"id": str(26_000_000_000 + place), "type": random.choice(["PushEvent", "WatchEvent"]), "actor": {"id": 100 + place % 9, "login": f"user{place % 9}"}, "repo": {"id": number, "name": name}, "payload": {"size": place, "commits": [1, 2]}, "public": True, "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
        found.setdefault(f"events/{at:%Y-%m-%d}.json", []).append(json.dumps(event))
    return {key: "\n".join([*lines, ""]).encode() for key, lines in found.items()}


def sensor_export(random: Random) -> Files:
    """A data logger's export: comments, tabs, a count of seconds, sensors and their rooms, missing values as NaN."""
    rooms = {f"S-{number}": random.choice(["lab", "hall", "roof"]) for number in range(6)}
    rows = [[int((at - datetime(1970, 1, 1)).total_seconds()), sensor := random.choice(list(rooms)), rooms[sensor], random.choice(["NaN", f"{random.random() * 30:.3f}"])] for at in _timestamps(random)]  # fmt: skip
    text = '# logger 7\n# it\'s "calibrated"\n' + _csv(
        ["timestamp", "sensor_id", "room", "temperature"], rows, delimiter="\t"
    )
    return {"sensors/logger.tsv": text.encode()}


def bank_statement(random: Random) -> Files:
    """A bank statement without a key: a title, two-digit years, decimal commas, and a total at the end."""
    rows = [[f"{at:%d.%m.%y}", random.choice(["Miete", "Gehalt; netto", "Einkauf"]), f"{random.randrange(-90000, 90000) / 100:.2f}".replace(".", ",")] for at in _timestamps(random)]  # fmt: skip
    text = (
        "Konto;DE00 1234\nZeitraum;2023\n"
        + _csv(["Buchungstag", "Verwendungszweck", "Betrag"], rows, delimiter=";")
        + "Saldo;;12,00\n"
    )
    return {"bank/statement.csv": text.encode("utf-16")}


def weather_stations(random: Random) -> Files:
    """Daily summaries of weather stations: every value in quotes, dates, stations with name and place."""
    stations = [
        (
            f"USW{number:08}",
            f"STATION {number}, XX US",
            f"{random.random() * 90:.5f}",
            f"-{random.random() * 90:.5f}",
        )
        for number in range(5)
    ]
    rows = [(*station, f"{START + timedelta(days=day):%Y-%m-%d}", f"{random.random() * 30:.1f}", random.choice(["", "0.0", "1.2"])) for station in stations for day in range(80)]  # fmt: skip
    return {
        "weather/daily.csv": _csv(
            ["STATION", "NAME", "LATITUDE", "LONGITUDE", "DATE", "TMAX", "PRCP"], rows, quoting=csv.QUOTE_ALL
        ).encode()
    }


def music_events(random: Random) -> Files:
    """Events of a music app as JSON lines: counts of milliseconds, empty texts for no one, a file per day."""
    found: dict[str, list[str]] = {}
    for place, at in enumerate(_timestamps(random)):
        user = random.choice(["", "26", "101"])
        event = {"userId": user, "level": "free", "sessionId": place // 9, "itemInSession": place % 9, "length": random.choice([None, 200.5]), "page": random.choice(["Home", "NextSong"]), "ts": int((at - datetime(1970, 1, 1)).total_seconds() * 1000)}  # fmt: skip
        found.setdefault(f"log_data/{at:%Y/%m/%Y-%m-%d}-events.json", []).append(json.dumps(event))
    return {key: "\n".join([*lines, ""]).encode() for key, lines in found.items()}


def job_log(random: Random) -> Files:
    """The job log of the scx star: dumps by month, texts with line breaks, users with their plans."""
    header = ["job_id", "project_id", "user_id", "plan_id", "summary", "created_at", "updated_at"]
    plans = {user: random.randrange(5) for user in range(200, 210)}
    rows = [
        (at, [place, place // 3, user := random.choice(list(plans)), plans[user], random.choice(["", 'two\nlines, "quoted"']), at, at + timedelta(days=random.randrange(40))])
        for place, at in enumerate(_timestamps(random))
    ]  # fmt: skip
    return _by_month(rows, lambda at: f"jobs/{at:%Y/%m}/jobs_{at:%Y%m}.csv", header)


def minute_files(random: Random) -> Files:
    """Readings of sensors as small Parquet files, one a minute, repeated pairs among them."""
    found = {}
    for at in sorted({timestamp.replace(second=0) for timestamp in _timestamps(random, 20)}):
        serials = [f"S{number % 11:03}" for number in range(12)]
        table = pa.table({
            "department_name": [f"d{number % 3}" for number in range(12)], "sensor_serial": serials,
            "create_at": pa.array([at] * 12, pa.timestamp("us")), "product_name": [random.choice(["p1", "p2"]) for _ in serials],
            "product_expire": pa.array([at + timedelta(days=9)] * 12, pa.timestamp("us")),
        })  # fmt: skip
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        found[f"data_sample/{at:%Y-%m-%d %H:%M:%S}.parquet"] = buffer.getvalue()
    return found


SHAPES: tuple[Callable[[Random], Files], ...] = (
    trips, web_shop, access_log, github_events, sensor_export, bank_statement, weather_stations, music_events, job_log, minute_files,
)  # fmt: skip
