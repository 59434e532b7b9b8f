"""Chat templates render as transformers renders them; their mistakes are one line; their work is bounded."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer import chat_template
from modelwright_plugins.tokenizer.chat_template import Rendered, render, render_all

CHATML = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}\
{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\
{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if loop.index0 == 0 and system_message != false %}\
{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""
LLAMA3 = """{{- bos_token }}
{%- if not date_string is defined %}
    {%- set date_string = strftime_now("%d %b %Y") %}
{%- endif %}
{#- what is true from the start #}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "<|eot_id|>" }}
{%- if tools is not none %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'skip' %}
        {%- continue %}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace(index=0) %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {%- generation %}
        {{- " " + message["content"]|trim + eos_token }}
        {%- endgeneration %}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial system message!") }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}"""
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
TEMPLATES = {"ChatML": CHATML, "Llama 2": LLAMA2, "Llama 3": LLAMA3, "Mistral": MISTRAL, "Zephyr": ZEPHYR}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "Hi <b> & 'é' 日本 \U0001f600\n"}],
    "two": [
        {"role": "system", "content": " Be brief. "},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": " 4 ", "tool_calls": None},
        {"role": "user", "content": "{{ 7 * 7 }}"},
    ],
}
TOOLS = [{"type": "function", "function": {"name": "f<>", "parameters": {"b": 1, "a": "é"}}}]


@pytest.fixture(scope="module")
def theirs() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "<unk>": 2}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("said", CONVERSATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_same_text_as_transformers(theirs: Any, name: str, said: str, prompt: bool) -> None:
    messages, tools = CONVERSATIONS[said], TOOLS if name == "Llama 3" else None
    expected = theirs.apply_chat_template(
        messages, tools=tools, chat_template=TEMPLATES[name], tokenize=False, add_generation_prompt=prompt, sanitize_control_tokens=False
    )
    found = render(
        TEMPLATES[name], messages, tools=tools, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    assert found == expected and messages[0]["content"].strip() in found


def test_chatml_by_hand() -> None:
    found = render(CHATML, CONVERSATIONS["two"][:2], add_generation_prompt=True)
    expected = "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    assert found == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (LLAMA2, "chat template: Conversation roles must alternate user/assistant/user/assistant/..."),
        ("{% for m in messages %}\n{{ m.role }\n", "chat template: line 2: unexpected '}'"),
        ("{{ nothing.here }}", "chat template: 'nothing' is undefined"),
        ("{{ messages[0] + 1 }}", "chat template: TypeError: unsupported operand type(s) for +: 'dict' and 'int'"),
        ("{% include '/etc/passwd' %}", "chat template: TypeError: no loader for this environment specified"),
        ("{{ messages.append(1) }}", "chat template: it reaches for what is not its business: access to attribute 'append' of 'list'"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "chat template: RecursionError"),
    ],
)
def test_a_mistake_is_one_line(template: str, said: str) -> None:
    with pytest.raises(ModelwrightError) as caught:
        render(template, [{"role": "assistant", "content": "x"}, {"role": "user", "content": "y"}])
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def test_what_is_no_plain_value_is_told() -> None:
    with pytest.raises(ModelwrightError, match="chat template: the conversation is not plain values: Object of type object"):
        render(CHATML, [{"role": "user", "content": object()}])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for i in range(10**9) %}{% endfor %}", "OverflowError: Range too big"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "it is not done after 2 seconds"),
        ("{{ 10 ** (10 ** 9) }}", "it "),  # too long or too much memory, as the machine is
        ("{{ 'a' * 10**10 }}", "it takes more memory than a template may"),
        ("{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", "it takes more memory"),
        ("{{ '%99999999999d' % 1 }}", ""),
    ],
)
def test_its_work_is_bounded_and_the_next_one_renders(template: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 2)

    def used() -> float:  # of renderers that have ended: by the clock it depends on what else the machine does
        return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])

    began = used()
    with pytest.raises(ModelwrightError, match=f"chat template: {said}"):
        render(template, [])
    assert used() - began < 2 + 5
    assert render("{{ 1 + 1 }}", []) == "2"


@pytest.mark.slow
def test_one_that_is_late_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 2)
    template = (
        "{% if messages[0].role == 'late' %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}ok"
    )
    found = render_all(template, [{"messages": [{"role": role}]} for role in ("a", "late", "b")])
    assert [str(one) if isinstance(one, ModelwrightError) else one.text for one in found] == [
        "ok",
        "chat template: it is not done after 2 seconds",
        "ok",
    ]


def test_many_at_once_are_as_one_by_one(theirs: Any) -> None:
    conversations = [{"messages": [{"role": "user", "content": f"{i} " * i}], "add_generation_prompt": i % 2 == 0} for i in range(150)]
    for i, one in enumerate(render_all(CHATML, conversations)):
        assert not isinstance(one, ModelwrightError)
        assert one.text == render(CHATML, conversations[i]["messages"], add_generation_prompt=i % 2 == 0) and one.spans == ()


def test_a_generation_block_that_has_no_place_is_told() -> None:
    block = "{% generation %}b{% endgeneration %}"
    assert render_all(f"a{block}c{block}", [{"messages": []}]) == [Rendered("abcb", ((1, 2), (3, 4)))]
    (found,) = render_all(f"{{% set x %}}a{block}{{% endset %}}{{{{ x }}}}", [{"messages": []}])
    assert isinstance(found, ModelwrightError) and "within a macro or a set block has no place" in str(found)


def limited(limits: str, code: str) -> str:
    """What Python code prints that is run under limits of the shell."""
    words = ["bash", "-c", f'ulimit {limits}; exec "$@"', "bash", sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


RENDER = "from modelwright_plugins.tokenizer.chat_template import _process, _stop, render; import os\n"


def test_a_limit_on_processor_time_is_kept() -> None:
    assert limited("-t 600", RENDER + "print(render('{{ 1 + 1 }}', []))") == "2\n"


@pytest.mark.slow
def test_many_templates_do_not_use_up_the_time_of_one() -> None:
    """Together they take more than the shell allows a process."""
    loop = "{% for i in range(99999) %}{% for j in range(60) %}{% endfor %}{% endfor %}ok"
    code = RENDER + f"said = [render({loop!r}, []) for _ in range(20)]; _stop(_process(os.getpid()))\n"
    code += "print(said.count('ok'), os.times().children_user > 4)"
    assert limited("-t 4", code) == "20 True\n"


@pytest.mark.slow
def test_the_shells_own_limit_is_told_as_such() -> None:
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    code = RENDER + f"try: render({loop!r}, [])\nexcept Exception as e: print(e)"
    assert limited("-t 1", code) in {
        f"chat template: it takes more than a template may ({signal.strsignal(each)})\n" for each in (signal.SIGKILL, signal.SIGXCPU)
    }


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts a shell script in place of the Python that renders."""

    def put(script: str) -> None:
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(file))
        chat_template._process.cache_clear()

    yield put
    chat_template._process.cache_clear()


def test_starting_does_not_count(python: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_template, "SECONDS", 2)
    python(f'/bin/sleep 3; exec {sys.executable} "$@"')
    assert render("{{ 1 + 1 }}", []) == "2"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            "echo Traceback >&2; echo 'ModuleNotFoundError: No module named jinja2' >&2; exit 1",
            "ModuleNotFoundError: No module named jinja2",
        ),
        ("exit 3", "exit status 3"),
        ("exec /bin/sleep 30", "not after 1 seconds"),
    ],
)
def test_one_that_does_not_start_is_no_fault_of_the_template(
    python: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, script: str, why: str
) -> None:
    monkeypatch.setattr(chat_template, "START", 1)
    python(script)
    with pytest.raises(ModelwrightError, match=f"^chat template: the process that renders it did not start: {why}$"):
        render("{{ 1 + 1 }}", [])


def test_one_that_ends_by_itself_is_no_limit(python: Callable[[str], None]) -> None:
    python("echo ready; read line; exit 7")
    with pytest.raises(ModelwrightError, match=r"^chat template: the process that renders it ended without an answer \(exit status 7\)$"):
        render("{{ 1 + 1 }}", [])


def test_one_that_somebody_ended_is_started_again() -> None:
    assert render("{{ 1 + 1 }}", []) == "2"
    process = chat_template._process(os.getpid())
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert render("{{ 1 + 2 }}", []) == "3"


def test_a_fork_has_a_renderer_of_its_own() -> None:
    assert render("{{ a }}", [], a="parent") == "parent"
    if (child := os.fork()) == 0:
        os._exit(0 if all(render("{{ a }}", [], a=str(i)) == str(i) for i in range(20)) else 1)
    assert all(render("{{ a }}", [], a=f"p{i}") == f"p{i}" for i in range(20))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
