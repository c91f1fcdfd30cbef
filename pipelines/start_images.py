"""Start images of image-to-video prompts: the store's rows as records name them, and back."""

from annotation.models import Prompt, ReferenceImage
from formats.errors import FormatError
from formats.records import ImageRef


def image_ref(image: ReferenceImage | None) -> ImageRef | None:
    """A start image as the trainers know it: below the media root, by content."""
    return None if image is None else ImageRef(path=image.file, sha256=image.sha256)


def prompt_row(text: str, image: ImageRef | None) -> Prompt:
    """The row of this prompt, made if it is not there; FormatError for an image that is not."""
    if image is None:
        return Prompt.objects.for_text(text)
    row = ReferenceImage.objects.filter(sha256=image.sha256).first()
    if row is None:
        raise FormatError(
            f"the start image {image.path!r} of the prompt {text[:60]!r} is not in the store; "
            "import the prompt with its image first"
        )
    return Prompt.objects.for_text(text, row)


def prompt_key(text: str, image: ImageRef | None) -> str:
    """What tells prompts apart: the text, and the start image where there is one."""
    return text if image is None else f"{text}\0{image.sha256}"
