"""Who may ask a listener: the token opens it, whatever its letters are."""

from hypothesis import example, given
from hypothesis import strategies as st

from headrace.http.access import shows_token


@given(st.text(min_size=1).map(str.strip).filter(bool))
@example("sesame-sesame-voilà")
def test_a_token_opens_its_listener_whatever_its_letters_are(token: str) -> None:
    shown = f"Bearer  {token}\t".encode().decode("latin-1")
    assert shows_token(shown, token.encode())
    assert not shows_token(shown + "x", token.encode())
