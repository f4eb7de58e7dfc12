"""The certificate of an export: the file is read again, and every promise about it is checked.

Nothing is believed that is in memory but what was meant. The file's masks are decoded by
pycocotools, and judged against themselves by its evaluation: a file that is right has an AP of 1
for every class, on as many objects as it holds. A check that fails names the instances.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from comask.annotation import files, formats, rle
from comask.annotation.formats import Said, WriteSettings, Written
from comask.annotation.label_export import LabelExport
from comask.annotation.records import Annotation, Dataset, ImageRecord, Size, Upright
from comask.errors import AnnotationError
from comask.evaluate.rereading import reread
from comask.evaluate.self_judging import CategoryLine, judge_itself

SCHEMA = 1
MOST_ROWS = 1_000  # of one check; all of them are counted


Measure = Callable[[ImageRecord], Upright | None]  # None: it can't be opened


@dataclass(frozen=True)
class Row:
    """Whom a check is about: an image's name in the store, a label's uid there, its id, and why."""

    image: str
    uid: str
    annotation_id: int | None
    sentence: str


@dataclass(frozen=True)
class Check:
    """One promise, and whether the file keeps it.

    rows   whom it is about, the first thousand; of a check that has passed: what is worth knowing
    count  of all of them
    """

    name: str
    passed: bool
    sentence: str
    rows: tuple[Row, ...] = ()
    count: int = 0


@dataclass(frozen=True)
class Certificate:
    """What was found out about a file."""

    file_name: str
    format: str
    sha256: str
    images: int
    annotations: int
    checks: tuple[Check, ...]
    categories: tuple[CategoryLine, ...] = ()
    schema: int = field(default=SCHEMA)

    @property
    def passed(self) -> bool:
        """Tell whether every check has passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> bytes:
        """Write everything as JSON."""
        content = {"schema": self.schema, "passed": self.passed, **asdict(self)}
        return files.dump_json(content)


@dataclass(frozen=True)
class Certified:
    """A file that was written and read again."""

    written: Written
    certificate: Certificate


def write(path: Path, meant: LabelExport, settings: WriteSettings, measure: Measure) -> Certified:
    """Write labels to a file, and what reading it again shows to another beside it.

    Raises AnnotationError for what can't be written. A file that fails is kept, so that somebody
    can look at it.
    """
    written = formats.write(path, meant.dataset, settings)
    found = certify(path, meant, written, measure)
    files.replace_file(beside(path), found.to_json())
    return Certified(written, found)


def beside(path: Path) -> Path:
    """Say where the certificate of a file lies."""
    return path.with_name(f"{path.name}.certificate.json")


@files.uncollected()
def certify(path: Path, meant: LabelExport, written: Written, measure: Measure) -> Certificate:
    """Read an exported file again and check it against what was meant."""
    digest = files.digest(path)
    checks = [_bytes(digest == written.sha256)]
    try:
        case = _Case(meant, written, reread(path, written, meant.dataset))
    except AnnotationError as error:
        checks.append(Check("readable", False, f"The file can't be read again: {error}."))
        return Certificate(path.name, written.settings.format, digest, 0, 0, tuple(checks))
    found = case.read
    lines = judge_itself(case.judged, [a for a in found.annotations if not a.iscrowd])
    checks.append(Check("readable", True, "The file can be read again."))
    checks += [case.images(), case.orientation(measure), case.counts(), case.ids()]
    checks += [case.categories(), case.masks(), case.boxes(), case.crowds(), case.left_out()]
    checks.append(case.evaluated(lines))
    return Certificate(
        path.name,
        written.settings.format,
        digest,
        len(found.images),
        len(found.annotations),
        tuple(checks),
        lines,
    )


class _Case:
    """What was meant beside what was read, and the checks of it."""

    def __init__(self, meant: LabelExport, written: Written, read: Dataset) -> None:
        self.meant, self.written, self.read = meant, written, read
        self.format = written.settings.format
        self._origins = {origin.annotation_id: origin for origin in meant.origins}
        images = zip(meant.dataset.images, meant.images, strict=True)
        self._names = {image.id: name for image, name in images}  # in the store
        gone = {said.annotation_id for said in written.left_out}
        self._expected = {a.id: a for a in meant.dataset.annotations if a.id not in gone}
        self._drawn: Mapping[int, Said] = {said.annotation_id: said for said in written.polygons}
        self._pairs = [
            (self._expected[one.id], one) for one in read.annotations if one.id in self._expected
        ]
        # a results list is judged against the labels, every other file against itself
        self.judged = meant.dataset if self.format == "results" else read

    def images(self) -> Check:
        """Every image once, under its own name and id, those without instances too."""
        if self.format == "results":
            without = len(self.meant.dataset.images) - len(self.read.images)
            said = (
                f"A results list names images by ids; {without:,} without instances are not in it."
            )
            return self._check("images", [], said, "")
        names = Counter(image.file_name for image in self.read.images)
        rows = [
            Row(name, "", None, f"it is in the file {count} times")
            for name, count in names.items()
            if count > 1
        ]
        there = {(i.id, i.file_name): i for i in self.read.images}
        wanted = {(i.id, i.file_name): i for i in self.meant.dataset.images}
        for key in wanted.keys() - there:
            rows.append(self._image_row(wanted[key], "it is not in the file"))
        for key in there.keys() - wanted:
            rows.append(Row(key[1], "", None, "it is not of this set"))
        for key in there.keys() & wanted:
            if _size(there[key]) != _size(wanted[key]):
                said = f"the file says {there[key].width} x {there[key].height} pixels"
                rows.append(self._image_row(wanted[key], said))
        return self._check(
            "images",
            sorted(rows, key=lambda row: row.image),
            f"All {len(wanted):,} images are in the file once, under their own ids and names.",
            "Images are missing, twice, or not what they are.",
        )

    def orientation(self, measure: Measure) -> Check:
        """The file's sizes are those of the upright pictures."""
        rows, notes, turned = [], [], 0
        for image in self.meant.dataset.images:
            upright = measure(image)
            if upright is None:
                notes.append(self._image_row(image, "the picture can't be opened now"))
                continue
            turned += upright.turned
            height, width = upright.size
            if (image.width, image.height) != (width, height):
                said = f"it is {width} x {height} pixels when upright"
                said = f"{said}, and not {image.width} x {image.height}"
                rows.append(self._image_row(image, said))
        if rows:
            return self._check("orientation", rows, "", "Sizes are not those of upright pictures.")
        sentence = "All coordinates are of upright pictures."
        if turned:
            sentence = (
                f"All coordinates are of upright pictures; {turned:,} of "
                f"{len(self.meant.dataset.images):,} are turned by their EXIF orientation"
                f"{_TURNED[self.format]}."
            )
        return _noted("orientation", sentence, notes)

    def counts(self) -> Check:
        """As many instances of each class on each image as were meant."""
        wanted = Counter((a.image_id, a.category_id) for a in self._expected.values())
        there = Counter((a.image_id, a.category_id) for a in self.read.annotations)
        rows = [
            Row(
                self._names.get(image, "?"),
                "",
                None,
                f"{there[image, category]} of {wanted[image, category]} instances of class "
                f"{category} are in the file",
            )
            for image, category in sorted(wanted.keys() | there.keys())
            if wanted[image, category] != there[image, category]
        ]
        good = f"All {len(self._expected):,} instances are in the file, on their images."
        return self._check("counts", rows, good, "There are more or fewer instances than meant.")

    def ids(self) -> Check:
        """Ids from 1 on, each once, each that which the label has for ever."""
        if self.format in ("results", "yolo"):
            return self._check("ids", [], "The format knows no ids of instances.", "")
        there = Counter(a.id for a in self.read.annotations)
        rows = [
            Row("", "", number, f"{number} is no id of a label" if count == 1 else "it is twice")
            for number, count in there.items()
            if count > 1 or number not in self._expected or number < 1
        ]
        rows += [self._row(n, "it is not in the file") for n in self._expected if n not in there]
        good = "Every instance has the id that its label has for ever."
        return self._check("ids", rows, good, "Ids are not those of the labels.")

    def categories(self) -> Check:
        """The classes under their own ids, and every instance under its own."""
        rows = [
            self._row(one.id, f"its class is {one.category_id}, not {wanted.category_id}")
            for wanted, one in self._pairs
            if wanted.category_id != one.category_id
        ]
        wanted_classes = [(c.id, c.name) for c in self.meant.dataset.categories]
        same = [(c.id, c.name) for c in self.read.categories] == wanted_classes
        if not same:
            rows.append(Row("", "", None, "the list of classes is another one"))
        good = f"All {len(wanted_classes):,} classes have their own ids and names."
        return self._check("categories", rows, good, "Classes are not what was meant.")

    def masks(self) -> Check:
        """Each mask is the label's, or has the IoU with it that was said."""
        rows = []
        for wanted, one in self._pairs:
            said = self._drawn.get(one.id)
            if rle.area(one.rle) == 0:
                rows.append(self._row(one.id, "its mask is empty"))
            elif said is None or one.id in self.written.fallen_back:
                if one.rle != wanted.rle:
                    rows.append(self._row(one.id, "its mask is not the label's"))
            else:
                rows += self._misdrawn(wanted, one, said)
        good = "Every mask is its label's, to the pixel."
        if self._drawn:
            worst = min((s.iou for s in self._drawn.values() if s.points), default=1.0)
            fallen = len(self.written.fallen_back)
            good = (
                f"Every polygon draws its label's mask with the IoU that is said, {worst:.3f} at "
                f"worst; {fallen:,} are written as masks."
            )
        return self._check("masks", rows, good, "Masks are not what was meant.")

    def boxes(self) -> Check:
        """Area and box are those of the mask, to the pixel."""
        rows = []
        for one in self.read.annotations:
            if one.area != rle.area(one.rle):
                rows.append(self._row(one.id, f"its area is {rle.area(one.rle)}, not {one.area:g}"))
            elif tuple(one.bbox) != rle.bbox(one.rle):
                rows.append(self._row(one.id, "its box is not tight around its mask"))
        good = "Every area is the count of pixels, and every box is tight."
        return self._check("boxes", rows, good, "Areas or boxes are not those of the masks.")

    def crowds(self) -> Check:
        """A crowd is what somebody called so, and nothing else."""
        rows = [
            self._row(one.id, "it is a crowd" if one.iscrowd else "it should be a crowd")
            for wanted, one in self._pairs
            if one.iscrowd != wanted.iscrowd
        ]
        count = sum(one.iscrowd for one in self.read.annotations)
        good = f"{count:,} are crowds, which somebody called so." if count else "No crowds."
        return self._check("crowds", rows, good, "Crowds are not what was meant.")

    def left_out(self) -> Check:
        """What no file of this format can hold is said."""
        rows = [self._row(said.annotation_id, said.sentence) for said in self.written.left_out]
        rows += [
            Row(o.image, o.uid, o.annotation_id, "it has no pixel, so it is left out")
            for o in self.meant.empty
        ]
        rows += [Row(note.image, "", None, note.sentence) for note in self.meant.notes]
        return _noted("left_out", f"{len(rows):,} are left out." if rows else "Nothing is.", rows)

    def evaluated(self, lines: Iterable[CategoryLine]) -> Check:
        """Judged against itself, the file has an AP of 1 on as many objects as there are labels."""
        wanted = Counter(a.category_id for a in self._expected.values() if not a.iscrowd)
        rows = [
            Row(
                "",
                "",
                None,
                f"{line.name}: {line.evaluated} of {wanted[line.id]} instances are evaluated, "
                f"with an AP of {line.ap:.3f}",
            )
            for line in lines
            if line.evaluated != wanted[line.id] or (line.evaluated and line.ap != 1)
        ]
        good = "Judged against itself, every class has an AP of 1 on all of its instances."
        return self._check("evaluated", rows, good, "Instances are lost on those who evaluate.")

    def _misdrawn(self, wanted: Annotation, one: Annotation, said: Said) -> list[Row]:
        iou = float(rle.iou([one.rle], [wanted.rle])[0, 0])
        if abs(iou - said.iou) > 1e-9:
            return [self._row(one.id, f"its IoU is {iou:.3f}, and {said.iou:.3f} was said")]
        if iou < self.written.settings.bar:
            bar = self.written.settings.bar
            return [self._row(one.id, f"{said.sentence}, below the bar of {bar:g}")]
        return []

    def _row(self, number: int, sentence: str) -> Row:
        origin = self._origins.get(number)
        if origin is None:
            return Row("", "", number, sentence)
        return Row(origin.image, origin.uid, number, sentence)

    def _image_row(self, image: ImageRecord, sentence: str) -> Row:
        return Row(self._names[image.id], "", None, sentence)

    @staticmethod
    def _check(name: str, rows: Sequence[Row], good: str, bad: str) -> Check:
        sentence = bad if rows else good
        return Check(name, not rows, sentence, tuple(rows[:MOST_ROWS]), len(rows))


_TURNED = {
    "coco": "",
    "results": "",
    "labelme": ", which labelme turns too; other readers of its files may not",
    "yolo": ", and a reader that opens them as they are stored sees their labels elsewhere",
}


def _size(image: ImageRecord) -> Size:
    return image.height, image.width


def _noted(name: str, sentence: str, rows: Sequence[Row]) -> Check:
    return Check(name, True, sentence, tuple(rows[:MOST_ROWS]), len(rows))


def _bytes(same: bool) -> Check:
    if same:
        return Check("bytes", True, "The file is what was written, to the last byte.")
    return Check("bytes", False, "The file is not what was written; something has changed it.")
