from django import forms


class UploadForm(forms.Form):
    file = forms.FileField(allow_empty_file=True)
