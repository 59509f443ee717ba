"""Chat templates in their sandbox."""

import pytest

from gradlab.data import load_tokenizer
from gradlab.data.chat import render_plain
from gradlab.errors import DataError
from tests.data.folders import CHATML, byte_level, write_folder
from tests.data.samples import ASK, RIGHT

BOTH = [ASK, RIGHT]


def with_template(folder, template):
    folder = write_folder(folder, byte_level(), bos_token="<s>", chat_template=template)
    return load_tokenizer(folder)


class TestChat:
    def test_template_of_the_tokenizer(self, tmp_path):
        tokenizer = with_template(tmp_path, CHATML)
        assert tokenizer.render_chat([ASK], add_generation_prompt=True) == (
            "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
        )
        assert tokenizer.render_chat(BOTH, add_generation_prompt=False) == (
            "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
        )

    def test_a_file_of_its_own_goes_first(self, tmp_path):
        folder = write_folder(tmp_path, byte_level(), chat_template="no")
        (folder / "chat_template.jinja").write_text("yes {{ messages|length }}")
        tokenizer = load_tokenizer(folder)
        assert tokenizer.render_chat(BOTH, add_generation_prompt=False) == "yes 2"

    def test_the_default_of_several(self, tmp_path):
        named = [
            {"name": "tool_use", "template": "t"},
            {"name": "default", "template": "d"},
        ]
        tokenizer = with_template(tmp_path, named)
        assert tokenizer.render_chat([ASK], add_generation_prompt=False) == "d"

    def test_special_tokens_tojson_and_generation_blocks(self, tmp_path):
        template = (
            "{{ bos_token }}{% for m in messages %}{% generation %}"
            "{{ m | tojson }}{% endgeneration %}{% break %}{% endfor %}"
            "{{ strftime_now is defined }}"
        )
        tokenizer = with_template(tmp_path, template)
        messages = [{"role": "user", "content": "é"}, ASK]
        text = tokenizer.render_chat(messages, add_generation_prompt=False)
        assert text == '<s>{"role": "user", "content": "é"}False'

    @pytest.mark.parametrize(
        "attack",
        [
            "{{ ''.__class__.__mro__[1].__subclasses__() }}",
            "{{ messages.__class__ }}",
            "{{ messages.append.__globals__ }}",
            "{{ raise_exception.__globals__['__builtins__'] }}",
            "{{ (messages|attr('__class__')).__base__ }}",
            "{{ '{0.__class__}'.format(messages) }}",
            "{% set x = messages.append({}) %}",
            "{{ messages[0].update({'role': 'x'}) }}",
            "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
            "{{ self.__init__.__globals__ }}",
        ],
    )
    def test_attacks_are_refused(self, tmp_path, attack):
        tokenizer = with_template(tmp_path, attack)
        with pytest.raises(DataError, match="reaches for Python internals"):
            tokenizer.render_chat([ASK], add_generation_prompt=False)

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            ("{% for %}", r"malformed: .* \(its line 1\)"),
            ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
            ("{{ 1 / 0 }}", "ZeroDivisionError"),
            ("{{ messages[7].content.x }}", "UndefinedError"),
            ("{% include 'secret' %}", "fails on these messages"),
            ("{% for i in range(10 ** 9) %}{% endfor %}", "OverflowError"),
            (
                "{% for i in range(9999) %}{% for j in range(9999) %}"
                "{% endfor %}{% endfor %}",
                "ranges of more than 100,000 numbers",
            ),
            (
                "{% for i in range(999) %}{{ ' ' * 99999 }}{% endfor %}",
                "prints more than 33,554,432 characters for one conversation",
            ),
            ("{{ [1, 2] | random }}", "No filter named 'random'"),
            ("{{ lipsum(1) }}", "'lipsum' is undefined"),
        ],
    )
    def test_failures_name_folder_and_reason(self, tmp_path, template, message):
        tokenizer = with_template(tmp_path, template)
        with pytest.raises(DataError, match=message) as caught:
            tokenizer.render_chat([ASK], add_generation_prompt=False)
        assert str(caught.value).startswith(str(tmp_path))

    def test_ranges_of_one_text_are_counted_anew(self, tmp_path):
        loop = "{% for i in range(60000) %}{{ i if i == 59999 }}{% endfor %}"
        tokenizer = with_template(tmp_path, loop)
        for _ in range(2):
            text = tokenizer.render_chat([ASK], add_generation_prompt=False)
            assert text == "59999"

    def test_plain_fallback(self, byte_tokenizer):
        asked = byte_tokenizer.render_chat([ASK], add_generation_prompt=True)
        assert asked == "user: 2 + 2?\nassistant:"
        both = byte_tokenizer.render_chat(BOTH, add_generation_prompt=False)
        assert both == render_plain(BOTH, add_generation_prompt=False) == asked + " 4"

    def test_real_template(self, shared):
        tokenizer = load_tokenizer(shared / "data" / "models" / "smollm2_tokenizer")
        text = tokenizer.render_chat([ASK], add_generation_prompt=True)
        assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant")
        assert text.endswith("2 + 2?<|im_end|>\n<|im_start|>assistant\n")
        assert tokenizer.encode(text)[0] == tokenizer.bos_id
