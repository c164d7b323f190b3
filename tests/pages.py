"""What a page says, however its lines are broken."""


def page_text(response):
    """Return a page with every run of blanks and line ends as one blank."""
    return " ".join(response.content.decode().split())
