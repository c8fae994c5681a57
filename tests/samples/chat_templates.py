"""Chat templates in the style of well-known models, in our own words: their idioms, tags and turns of phrase."""
# ruff: noqa: E501  # templates are written as models have them

LLAMA_2 = """{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set intro = messages[0]['content'] %}
{% else %}{% set rest = messages %}{% set intro = false %}{% endif %}
{% for message in rest %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Turns must go user, assistant, user') }}
{% endif %}
{% if loop.index0 == 0 and intro != false %}{% set content = '<<SYS>>\\n' + intro + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}
{% endfor %}"""

LLAMA_3 = """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

LLAMA_3_TOOLS = """{{- bos_token }}
{%- if custom_tools is defined %}{%- set tools = custom_tools %}{%- endif %}
{%- if not tools_in_user_message is defined %}{%- set tools_in_user_message = true %}{%- endif %}
{%- if not date_string is defined %}
  {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
  {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
  {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}{{- "Environment: ipython\\n" }}{%- endif %}
{%- if builtin_tools is defined %}{{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n" }}
{%- endif %}
{%- if tools is not none and not tools_in_user_message %}
  {{- 'Answer with {"name": function name, "parameters": dictionary of arguments}. Do not use variables.\\n\\n' }}
  {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}
{%- endif %}
{{- system_message }}{{- "<|eot_id|>" }}
{%- for message in messages %}
  {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
  {%- elif 'tool_calls' in message %}
    {%- if not message.tool_calls|length == 1 %}{{- raise_exception("Only one call at a time") }}{%- endif %}
    {%- set tool_call = message.tool_calls[0].function %}
    {%- if builtin_tools is defined and tool_call.name in builtin_tools %}
      {{- "<|python_tag|>" + tool_call.name + ".call(" }}
      {%- for arg_name, arg_val in tool_call.arguments | items %}{{- arg_name + '="' + arg_val + '"' }}
        {%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- ")" }}
    {%- else %}{{- '{"name": "' + tool_call.name + '", ' }}{{- tool_call.arguments | tojson }}{{- "}" }}{%- endif %}
  {%- elif message.role == "tool" or message.role == "ipython" %}
    {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
    {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}
    {%- else %}{{- message.content }}{%- endif %}
  {%- endif %}
{%- endfor %}"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}
{%- set loop_messages = messages[1:] %}{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
  {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("Roles must alternate") }}{%- endif %}
    {%- set ns.index = ns.index + 1 %}
  {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
  {%- if message["role"] == "user" %}
    {%- if tools is not none and (message == user_messages[-1]) %}{{- "[AVAILABLE_TOOLS] [" }}
      {%- for tool in tools %}{%- set tool = tool.function %}{{- '{"type": "function", "function": {' }}
        {%- for key, val in tool.items() if key != "return" %}
          {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
          {%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}{{- "}}" }}
      {%- endfor %}{{- "][/AVAILABLE_TOOLS]" }}{%- endif %}
    {{- "[INST] " + message["content"] + "[/INST]" }}
  {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
    {%- if message.content is defined and message.content.content is defined %}{%- set content = message.content.content %}
    {%- else %}{%- set content = message.content %}{%- endif %}
    {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
    {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}
      {{- raise_exception("Ids of calls have nine characters") }}{%- endif %}
  {%- else %}{{- " " + message["content"]|trim + eos_token }}{%- endif %}
{%- endfor %}"""

CHATML = """{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

QWEN_3 = """{%- if tools %}{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- "# Tools\\n\\nYou may call functions. Their signatures stand within <tools></tools> tags:\\n<tools>" }}
{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}{{- "\\n</tools><|im_end|>\\n" }}{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}{%- set index = (messages|length - 1) - loop.index0 %}
  {%- if ns.multi_step_tool and message.role == "user" and message.content is string
      and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
    {%- set ns.multi_step_tool = false %}{%- set ns.last_query_index = index %}{%- endif %}{%- endfor %}
{%- for message in messages %}
  {%- set content = message.content if message.content is string else '' %}
  {%- if message.role == "assistant" %}{%- set reasoning_content = '' %}
    {%- if '</think>' in content %}
      {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
      {%- set content = content.split('</think>')[-1].lstrip('\\n') %}{%- endif %}
    {%- if loop.index0 > ns.last_query_index and (loop.last or reasoning_content) %}
      {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content }}
    {%- else %}{{- '<|im_start|>' + message.role + '\\n' + content }}{%- endif %}
  {%- elif message.role == "tool" %}
    {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|im_start|>user' }}{%- endif %}
    {{- '\\n<tool_response>\\n' }}{{- content }}{{- '\\n</tool_response>' }}{%- endif %}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"""

GEMMA_3 = """{%- if messages[0]['content'] is string -%}{%- set first = messages[0]['content'] + '\\n\\n' -%}
{%- else -%}{%- set first = messages[0]['content'][0]['text'] + '\\n\\n' -%}{%- endif -%}
{%- for message in messages -%}
  {%- if message['content'] is string -%}{{ message['content'] | trim }}
  {%- elif message['content'] is iterable -%}
    {%- for item in message['content'] -%}
      {%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}
      {%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
    {%- endfor -%}
  {%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}
{%- endfor -%}"""

GEMMA_TOOLS = """{%- macro format_argument(argument, escape_keys=True) -%}
  {%- if argument is string -%}{{- '<|"|>' + argument + '<|"|>' -}}
  {%- elif argument is boolean -%}{{- 'true' if argument else 'false' -}}
  {%- elif argument is mapping -%}{{- '{' -}}{%- set ns = namespace(found_first=false) -%}
    {%- for key, value in argument | dictsort -%}
      {%- if ns.found_first %},{% endif -%}{%- set ns.found_first = true -%}
      {{- key -}}:{{- format_argument(value, escape_keys=escape_keys) -}}
    {%- endfor -%}{{- '}' -}}
  {%- elif argument is sequence -%}{{- '[' -}}{%- for item in argument -%}{{- format_argument(item) -}}
    {%- if not loop.last %},{% endif -%}{%- endfor -%}{{- ']' -}}
  {%- else -%}{{- argument -}}{%- endif -%}
{%- endmacro -%}
{%- macro strip_thinking(text) -%}{%- set ns = namespace(result='') -%}
  {%- for part in text.split('<channel|>') -%}
    {%- if '<|channel>' in part -%}{%- set ns.result = ns.result + part.split('<|channel>')[0] -%}
    {%- else -%}{%- set ns.result = ns.result + part -%}{%- endif -%}
  {%- endfor -%}{{- ns.result | trim -}}{%- endmacro -%}
{%- for message in messages -%}{{ strip_thinking(message.content) }}
  {%- for call in message.get('tool_calls', []) -%}{{ format_argument(call['function']['arguments']) }}{%- endfor -%}
{%- endfor -%}"""

PHI = """{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}
{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}
{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""

DEEPSEEK = """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='', is_first_sp=true) %}
{%- for message in messages %}{%- if message['role'] == 'system' %}
  {%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}
  {%- else %}{% set ns.system_prompt = ns.system_prompt + '\\n\\n' + message['content'] %}{%- endif %}
{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}
{%- for message in messages %}
  {%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{ '<｜User｜>' + message['content'] }}{%- endif %}
  {%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}
    {%- for tool in message['tool_calls'] %}
      {{ '<｜tool▁call▁begin｜>' + tool['type'] + '<｜tool▁sep｜>' + tool['function']['name'] + '\\n' + '```json' + '\\n' + tool['function']['arguments'] + '\\n' + '```' }}
    {%- endfor %}{%- endif %}
  {%- if message['role'] == 'assistant' and message['content'] is not none %}
    {% set content = message['content'] %}
    {% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}
    {{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{%- endif %}
{%- endfor -%}"""

COMMAND_R = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}
{% set system_message = '## Task and Context\\nYou help people answer their questions interactively.' %}{% endif %}
{{ '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|># Safety Preamble' }}{{ '\\n\\n# User Preamble\\n' + system_message }}
{{ '\\n\\n## Available Tools\\nHere is a list of tools that you have available to you:\\n\\n' }}
{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"} %}
{%- if basic_type_map[json_spec.type] is defined %}{{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}{{- "List[" + json_to_python_type(json_spec['items']) + "]" }}
{%- elif json_spec.type == "object" %}{{- 'Dict[str, Any]' }}
{%- elif json_spec.type is iterable %}{{- "Union[" }}
  {%- for t in json_spec.type %}{{- json_to_python_type({"type": t}) }}{%- if not loop.last %}{{- "," }}{%- endif %}
  {%- endfor %}{{- "]" }}{%- endif %}{%- endmacro %}
{% for tool in tools %}{% if loop.index0 != 0 %}{{ '\\n\\n' }}{% endif %}
{{ '```python\\ndef ' + tool.name + '(' }}
{% for param_name, param_fields in tool.parameter_definitions.items() %}{{ param_name }}: {{ json_to_python_type(param_fields) }}{% endfor %}
{{ ') -> List[Dict]:\\n    \\"\\"\\"' }}{{ tool.description }}{{ '\\"\\"\\"\\n    pass\\n```' }}{% endfor %}
{% for message in loop_messages %}{% set content = message['content'] %}
{{ '<|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>' }}{% endfor %}"""

HERMES_TOOLS = """{%- macro json_to_python_type(json_spec) %}
{%- if json_spec.type == "object" %}
  {%- if json_spec.additionalProperties is defined %}{{- "dict[str, " + json_to_python_type(json_spec.additionalProperties) + ']'}}
  {%- else %}{{- "dict" }}{%- endif %}
{%- else %}{{- "Any" }}{%- endif %}{%- endmacro %}
{{- '<|im_start|>system\\nYou are a function calling AI model. Pydantic schema of each call: ' }}
{{- '{"properties": {"name": {"title": "Name", "type": "string"}, "arguments": {"type": "object"}}}\\n' }}
{%- for tool in tools %}{%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
  {{- '{"type": "function", "function": ' }}{{- '{"name": "' + tool.name + '", ' }}
  {{- '"description": "' + tool.name + '(' }}
  {%- for param_name, param_fields in tool.parameters.properties|items %}
    {{- param_name + ": " + json_to_python_type(param_fields) }}{%- if not loop.last %}{{- ", " }}{%- endif %}{%- endfor %}
  {{- tool.parameters|tojson }}{%- endfor %}
{%- for message in messages %}{%- if message.role == "assistant" and message.tool_calls is defined %}
  {%- for tool_call in message.tool_calls %}{{- '\\n<tool_call>\\n' }}{{- tool_call.arguments|tojson }}{{- '\\n</tool_call>' }}
  {%- endfor %}
  {%- elif message.role == "tool" %}{%- if loop.previtem and loop.previtem.role != "tool" %}{{- '<|im_start|>tool\\n' }}{%- endif %}
  {%- if not loop.last and loop.nextitem.role != "tool" %}{{- '<|im_end|>' }}{%- endif %}{%- endif %}
{%- endfor %}"""

ZEPHYR = """{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\\n'  + message['content'] + eos_token }}\n{% endif %}
{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"""

FALCON = """{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}
{% if message['role'] == 'system' %}{{ 'System: ' }}{% elif message['role'] == 'user' %}{{ 'User: ' }}
{% elif message['role'] == 'assistant' %}{{ 'Falcon: ' }}{% endif %}{{ message['content'] }}{% endfor %}
{% if add_generation_prompt %}{{ '\\n' + 'Falcon:' }}{% endif %}"""

GRANITE = """{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set system_message = "Knowledge Cutoff Date: April 2024.\\nToday's Date: " + strftime_now('%B %d, %Y') + "." %}
  {%- if tools and documents %}{%- set system_message = system_message + " You are given tools and documents." %}{%- endif %}
  {%- if 'citations' in controls and documents %}
    {%- set system_message = system_message + '\\n\\nIn your answer, use the symbols <co> and </co> to show a fact.' %}{%- endif %}
  {%- set loop_messages = messages %}{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system_message + '<|end_of_text|>\\n' }}
{%- if documents %}{%- for document in documents %}
  {{- '<|start_of_role|>document {"document_id": "' + document['doc_id'] | string + '"}<|end_of_role|>' }}
  {{- document['text'] }}{%- endfor %}{%- endif %}
{%- for message in loop_messages %}{{- '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] }}
  {%- if loop.last and add_generation_prompt %}{{- '<|start_of_role|>assistant' }}
    {%- if controls %}{{- ' ' + controls | tojson() }}{%- endif %}{%- endif %}{%- endfor %}"""

TRAINING = """{%- for message in messages %}{%- if message.role == 'assistant' %}{%- generation %}{{ message.content }}{{ '<|im_end|>' }}
{%- endgeneration %}{%- else %}{{ message.content }}{%- endif %}{%- if loop.index > 20 %}{%- break %}{%- endif %}{%- endfor %}"""

REASONING = """{%- if not reasoning_effort is defined %}{%- set reasoning_effort = "medium" %}{%- endif %}
{%- macro render_typescript_type(spec, required, is_nullable=false) -%}
  {%- if spec.enum is defined -%}{{ '"' + spec.enum|join('" | "') + '"' }}
  {%- elif spec.type == "array" -%}{{ render_typescript_type(spec['items'], required) + '[]' }}
  {%- elif spec.oneOf -%}{%- for variant in spec.oneOf -%}{{- render_typescript_type(variant, required) -}}
    {%- if variant.description %}{{- "// " + variant.description }}{%- endif -%}
    {%- if not loop.last %}{{ " | " }}{% endif -%}{%- endfor -%}
  {%- else -%}{{ spec.type|default('any') }}{%- endif -%}{%- endmacro -%}
{{- "Reasoning: " + reasoning_effort + "\\n\\n" }}
{%- if builtin_tools %}{{- "// Execution is stateful, as in a Jupyter notebook; files can be saved at '/mnt/data'.\\n" }}{%- endif %}
{%- for message in messages %}
  {%- if "content" in message and ("<|channel|>analysis<|message|>" in message.content) %}
    {{- raise_exception("Put thoughts into 'thinking'.") }}{%- endif %}
  {%- if message.content is string and 'detailed thinking off' in message.content %}{%- set quiet = true %}{%- endif %}
  {{- message.thinking if message.thinking else message.content }}
{%- endfor %}"""

# By the model in whose style it is written.
ORDINARY = {
    "llama-2": LLAMA_2,
    "llama-3": LLAMA_3,
    "llama-3.1-tools": LLAMA_3_TOOLS,
    "mistral": MISTRAL,
    "chatml": CHATML,
    "qwen-3": QWEN_3,
    "gemma": GEMMA,
    "gemma-3": GEMMA_3,
    "gemma-tools": GEMMA_TOOLS,
    "phi": PHI,
    "deepseek": DEEPSEEK,
    "command-r": COMMAND_R,
    "hermes-tools": HERMES_TOOLS,
    "zephyr": ZEPHYR,
    "falcon": FALCON,
    "granite": GRANITE,
    "training": TRAINING,
    "reasoning": REASONING,
}
